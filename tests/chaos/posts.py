"""Customers of few words: events that are posted as platforms post them, and what their pages show in the end."""

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.chaos.ledgers import Delivery, Driver, Post
from tests.chaos.telegram import SECRET, TimedEmulator, text_update

RETRY_AFTER = 0.2  # seconds until a platform repeats what was not taken
GIVE_UP_AFTER = 120.0  # seconds


@dataclass(frozen=True)
class Event:
    """One post, the same bytes each time."""

    chat: str
    key: str
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]


@dataclass
class Answers:
    """How the door answered; seconds of the posts that were taken."""

    statuses: Counter[int] = field(default_factory=Counter)
    unanswered: int = 0
    seconds: list[float] = field(default_factory=list)


def deliver(client: httpx.Client, event: Event, post: Post, driver: Driver, answers: Answers) -> None:
    """Posts until it is taken. Raises AssertionError for a refusal of what is right, and when nobody takes it."""
    deadline = time.monotonic() + GIVE_UP_AFTER
    while True:
        began = time.monotonic()
        status = _post(client, event)
        if status is None:
            answers.unanswered += 1
        else:
            answers.statuses[status] += 1
            if status < 300:
                answers.seconds.append(time.monotonic() - began)
                driver.acknowledged(post)
                return
            assert status >= 500 or status == 429, f"{event.chat} was refused with {status}"
        assert time.monotonic() < deadline, "nobody took it"
        time.sleep(RETRY_AFTER)


def _post(client: httpx.Client, event: Event) -> int | None:
    try:
        return client.post(event.path, headers=event.headers, json=event.body).status_code
    except httpx.TransportError:
        return None


class Person(ABC):
    """One customer at one channel."""

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def says(self, text: str) -> Event: ...

    @abstractmethod
    def looks(self, client: httpx.Client, driver: Driver) -> None:
        """Writes what is on the customer's screen into the third ledger, where nothing else does."""


class WebPerson(Person):
    """At the web chat, each with an address of their own, as behind a proxy."""

    def __init__(self, name: str, number: int, client: httpx.Client) -> None:
        super().__init__(name)
        self._number = number
        self._said = 0
        self._headers = {"X-Forwarded-For": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"}
        begun = client.post("/chat/v1/sessions", headers=self._headers, json={"language": "zh"}).raise_for_status()
        self._headers["Authorization"] = f"Bearer {begun.json()['token']}"

    def says(self, text: str) -> Event:
        self._said += 1
        key = f"message-{self._said}-of-{self.name}"
        return Event(self.name, key, "/chat/v1/messages", self._headers, {"id": key, "text": text})

    def looks(self, client: httpx.Client, driver: Driver) -> None:
        page = client.get("/chat/v1/history", headers=self._headers).raise_for_status().json()["messages"]
        came = [line for line in page if line["side"] != "customer"]
        driver.streamed += [Delivery(self.name, time.time(), line["stream"], line["text"]) for line in came]


class TelegramPerson(Person):
    """At Telegram, whose emulator notes by itself what arrives."""

    def __init__(self, name: str, number: int, emulator: TimedEmulator) -> None:
        super().__init__(name)
        self.chat_id = 6_000_000 + number
        self._emulator = emulator
        emulator.names[self.chat_id] = name

    def says(self, text: str) -> Event:
        key, update = text_update(self._emulator, self.chat_id, text)
        return Event(self.name, key, "/channels/telegram/main", {"X-Telegram-Bot-Api-Secret-Token": SECRET}, update)

    def looks(self, client: httpx.Client, driver: Driver) -> None:
        """Nothing to do."""
