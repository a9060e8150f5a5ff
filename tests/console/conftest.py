"""A console on the test product, with people at work."""

from collections.abc import Callable

import pytest
from argon2 import PasswordHasher
from flask import Flask

from bot import texts, users
from bot.build import Product
from bot.dialogue import Script
from console import create_app
from tests.console.seats import Seat
from tests.talking import Hands, complaint_talk

_TEXTS = texts.load()


@pytest.fixture(autouse=True)
def texts_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading them takes half a second, and every product does."""
    monkeypatch.setattr(texts, "load", lambda: _TEXTS)


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """tests/test_users.py looks at the real ones."""
    monkeypatch.setattr(users, "_HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
def app(product: Product) -> Flask:
    made = create_app(product)
    made.testing = True
    return made


@pytest.fixture
def seat(app: Flask) -> Callable[..., Seat]:
    return lambda name="li.ting", role="agent": Seat(app, name, role)


@pytest.fixture
def agent(seat: Callable[..., Seat]) -> Seat:
    return seat()


@pytest.fixture
def hands(product: Product, script: Script) -> Hands:
    script.answer = complaint_talk
    return Hands(product)


@pytest.fixture
def waiting(hands: Hands) -> int:
    """A customer who has said something and waits for a person."""
    hands.say("customer", "我家宽带断了三天")
    hands.say("customer", "转人工")
    return hands.conversation("customer").id
