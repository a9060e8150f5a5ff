"""The stream that tells open pages what changed."""

from collections.abc import Iterator

import pytest
from flask import Flask

from bot.build import Product
from bot.store import facts
from console import stream
from tests.console.seats import Seat
from tests.talking import Hands


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT", 0.2)


def _open(agent: Seat, path: str, last: str = "") -> Iterator[str]:
    answer = agent.get(path, headers={"Last-Event-ID": last} if last else {}, buffered=False)
    assert answer.status_code == 200
    assert answer.mimetype == "text/event-stream"
    return (part.decode() for part in answer.response)  # type: ignore[union-attr]


def _until(events: Iterator[str], wanted: str) -> str:
    for _ in range(40):
        if wanted in (event := next(events)):
            return event
    raise AssertionError(f"no {wanted}")


def _newest(product: Product) -> int:
    with product.database.read() as db:
        return facts.newest(db)


def test_a_message_is_told_to_its_chat_and_to_the_inbox(
    agent: Seat, product: Product, hands: Hands, waiting: int
) -> None:
    events = _open(agent, f"/stream?conversation={waiting}&after={_newest(product)}")
    assert next(events) == "retry: 1000\n\n"
    hands.say("customer", "还在吗")
    event = _until(events, "event: chat")
    assert "event: inbox" in event and f"id: {_newest(product)}" in event


def test_other_conversations_do_not_disturb_a_chat(agent: Seat, product: Product, hands: Hands, waiting: int) -> None:
    events = _open(agent, f"/stream?conversation={waiting}&after={_newest(product)}")
    hands.say("someone else", "你好")
    assert "event: chat" not in _until(events, "event: inbox")


def test_silence_is_a_heartbeat(agent: Seat, product: Product) -> None:
    events = _open(agent, f"/stream?after={_newest(product)}")
    next(events)
    assert next(events).startswith(":")


def test_who_comes_back_hears_what_was_missed(agent: Seat, product: Product, hands: Hands, waiting: int) -> None:
    seen = _newest(product)
    hands.say("customer", "还在吗")
    events = _open(agent, f"/stream?conversation={waiting}&after=0", last=str(seen))
    next(events)
    assert f"id: {_newest(product)}\nevent: chat" in next(events)


def test_a_reader_that_is_too_slow_is_cut(agent: Seat, product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    events = _open(agent, f"/stream?after={_newest(product)}")
    next(events)
    for pages in product.live._pages.values():
        for page in pages:
            page.cut = True
    assert len(list(events)) <= 1


def test_a_closed_page_is_forgotten(agent: Seat, product: Product) -> None:
    answer = agent.get("/stream", buffered=False)
    assert any(product.live._pages.values())
    answer.close()
    assert not any(product.live._pages.values())


@pytest.mark.parametrize("query", ["conversation=x", "conversation=-1", "after=x", "conversation=" + "9" * 30])
def test_bad_numbers(agent: Seat, query: str) -> None:
    assert agent.get(f"/stream?{query}").status_code == 400


def test_an_unknown_conversation_has_no_stream(agent: Seat, app: Flask) -> None:
    assert agent.get("/stream?conversation=999").status_code == 404
