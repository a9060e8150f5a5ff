"""Under pressure: who is refused before anything is stored, who gets in all the same, and what is answered together."""

import shutil
from collections import namedtuple
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from bot.build import Product
from bot.dialogue import Script
from bot.pressure import Pressure
from bot.store import conversations
from bot.store.inbox import inbox
from bot.turn import LATE, MOST_MESSAGES
from tests.talking import Hands, chat, text
from webhooks import create_app

Disk = namedtuple("Disk", "total used free")


@pytest.fixture
def visitor(product: Product) -> FlaskClient:
    client = create_app(product).test_client(use_cookies=False)
    token = client.post("/chat/v1/sessions", json={}).get_json()["token"]
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return client


def say(visitor: FlaskClient, words: str, number: int) -> Any:
    return visitor.post("/chat/v1/messages", json={"id": f"message-{number}", "text": words})


def rows(product: Product) -> int:
    with product.database.read() as db:
        return int(db.scalar(select(func.count()).select_from(inbox)) or 0)


def make_late(product: Product, by: timedelta) -> None:
    with product.database.write() as db:
        then = conversations.now(db) - by
        db.execute(conversations.conversation.update().values(work_at=then))
        db.execute(inbox.update().values(received_at=then))
    product.pressure._looked_at = -1000.0


def test_a_backlog_closes_the_web_chat_but_not_for_a_wish(product: Product, visitor: FlaskClient) -> None:
    assert say(visitor, "宽带断了", 1).status_code == 202
    make_late(product, timedelta(minutes=31))
    refused = say(visitor, "还没修好", 2)
    assert refused.status_code == 503 and refused.get_json()["error"]["code"] == "busy"
    assert refused.headers["Retry-After"] == "60"
    assert rows(product) == 1, "nothing was stored of what was refused"
    ready = visitor.get("/ready")
    assert ready.status_code == 200 and "backlog" in ready.get_json()["degraded"]
    assert say(visitor, "转人工", 3).status_code == 202
    assert Hands(product).conversation is not None
    with product.database.read() as db:
        assert [one.state for one in conversations.recent(db)] == ["queued"]


def test_a_full_disk_closes_the_web_chat(
    product: Product, visitor: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert say(visitor, "宽带断了", 1).status_code == 202
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Disk(10**12, 10**12, 511 * 1024**2))
    product.pressure._looked_at = -1000.0
    assert say(visitor, "宽带还是断的", 2).status_code == 503
    assert say(visitor, "human", 3).status_code == 202
    assert rows(product) == 2


def test_one_conversation_that_fails_again_and_again_closes_nothing(product: Product, visitor: FlaskClient) -> None:
    """It is looked at each time: only what no worker has looked at counts."""
    say(visitor, "宽带断了", 1)
    make_late(product, timedelta(hours=2))
    with product.database.write() as db:
        db.execute(conversations.conversation.update().values(work_at=conversations.now(db)))
    assert Pressure(product.database, product.settings.home, 1, timedelta(minutes=30)).reasons() == frozenset()


def test_what_waited_too_long_is_one_turn_up_to_a_bound(product: Product, script: Script) -> None:
    """A crowd that writes "hello" again and again costs one question to Rasa each, not one per hello."""
    hands = Hands(product)
    for number in range(MOST_MESSAGES + 5):
        product.inbox.accept(chat(product), text("ann", f"hello {number}"))
    _spread(product, timedelta(seconds=30))
    hands.work()
    assert [question.text.count("hello") for question in script.asked if question.text] == [MOST_MESSAGES, 5]
    said = "\n".join(question.text or "" for question in script.asked)
    assert said.split("\n") == [f"hello {number}" for number in range(MOST_MESSAGES + 5)], "in order, each once"


def test_who_is_answered_in_time_is_answered_message_by_message(product: Product, script: Script) -> None:
    hands = Hands(product)
    for number in range(2):
        product.inbox.accept(chat(product), text("ann", f"hello {number}"))
    _spread(product, timedelta(seconds=4))
    hands.work()
    assert [question.text for question in script.asked] == ["hello 0", "hello 1"]


def _spread(product: Product, apart: timedelta) -> None:
    """As if so much time had passed between two messages; the last one has just come."""
    with product.database.write() as db:
        clock = conversations.now(db)
        numbers = list(db.scalars(select(inbox.c.id).order_by(inbox.c.sequence.desc())))
        for place, number in enumerate(numbers):
            db.execute(inbox.update().where(inbox.c.id == number).values(received_at=clock - apart * place))
    assert apart * (len(numbers) - 1) > LATE or len(numbers) == 2


def test_a_crowd_that_never_stops_writing_keeps_nobody_waiting(product: Product, script: Script) -> None:
    """Oldest first: whoever is there when a newcomer writes is answered at most once before that newcomer."""
    hands = Hands(product)
    crowd = [f"loud-{number}" for number in range(12)]
    for name in crowd:
        product.inbox.accept(chat(product), text(name, f"hello from {name}"))
    hands.turns.work_once()
    product.inbox.accept(chat(product), text("quiet", "is anybody there"))
    for _turn in crowd:
        for name in crowd:  # and each of them again, before every turn
            product.inbox.accept(chat(product), text(name, f"hello again from {name}"))
        hands.turns.work_once()
    newcomer = [place for place, question in enumerate(script.asked) if "anybody" in (question.text or "")]
    assert newcomer == [len(crowd)], "after those who were there before, and before any of them again"
