"""A person at work, as the console's tests need one: logged in, and able to press the page's buttons."""

import re
from contextlib import suppress
from html import unescape
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from bot.build import Product
from bot.users import UserRefused
from tests.talking import Hands

PASSWORD = "a long password 1"


class Seat:
    """One browser of one person. `press` sends the forms' fields as the page would."""

    def __init__(self, app: Flask, name: str, role: str = "agent") -> None:
        self.name = name
        self.product: Product = app.extensions["tingsu"]
        with suppress(UserRefused):  # a second browser of the same person
            self.product.people.add(name, role, PASSWORD)
        self.client = app.test_client()
        form = self.client.get("/login").text
        answer = self.client.post("/login", data={"csrf": token(form), "name": name, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        self.csrf = token(self.get("/account").text)

    def get(self, path: str, **more: Any) -> TestResponse:
        return self.client.get(path, **more)

    def press(self, path: str, *, live: bool = False, **fields: Any) -> TestResponse:
        """`live`: as htmx does it."""
        headers = {"HX-Request": "true"} if live else {}
        return self.client.post(path, data={"csrf": self.csrf} | fields, headers=headers)

    def act(self, conversation_id: int, what: str, *, live: bool = False, **fields: Any) -> TestResponse:
        """Presses a button of the conversation's page as it is now; `fields` override what the page has."""
        page = self.get(f"/conversations/{conversation_id}").text
        seen = {name: hidden(page, name) for name in ("seen_epoch", "seen_sequence", "client_id")}
        return self.press(f"/conversations/{conversation_id}/{what}", live=live, **(seen | fields))


def tell(hands: Hands, *said: str) -> None:
    """Says one thing after the other, each as a turn of its own."""
    for one in said:
        hands.say("customer", one)
        hands.hurry("customer")


def file_complaint(hands: Hands) -> None:
    """Goes through the scripted complaint to its receipt."""
    tell(hands, "宽带断了", "13800138000")
    hands.tap("customer", hands.button("customer", "affirm"))
    hands.hurry("customer")


def token(page: str) -> str:
    return hidden(page, "csrf")


def hidden(page: str, name: str) -> str:
    """The value of the first hidden field of this name; empty when there is none."""
    for tag in re.findall(r"<input[^>]*>", page):
        if f'name="{name}"' in tag:
            found = re.search(r'value="([^"]*)"', tag)
            return found[1] if found else ""
    return ""


def words(page: str) -> str:
    """The page as people read it."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", page)))
