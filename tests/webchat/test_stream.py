"""The stream of events: exactly what was sent, in order, across reconnects; who answers; and when it ends."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from bot import live
from bot.build import Product
from bot.store import conversations, outbox
from tests.talking import Hands, chat
from tests.webchat.visitor import Visitor
from webhooks import stream as stream_file
from webhooks import webchat
from webhooks.stream import Stream

SENDER = "visitor-of-this-test"


@pytest.fixture
def listen(product: Product, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Iterator[str]]]:
    """Opens a stream after a number; waits are short."""
    for name in ("HEARTBEAT", "NEWCOMER_LOOK", "QUEUE_LOOK"):
        monkeypatch.setattr(stream_file, name, 0.05)
    monkeypatch.setattr(live, "TICK", 0.1)
    monkeypatch.setattr(stream_file, "LIFETIME", 8.0)  # a test that waits for what never comes ends
    opened: list[Stream] = []

    def start(after: int) -> Iterator[str]:
        opened.append(Stream(product, chat(product).id, SENDER, after))
        return opened[-1].events()

    yield start
    for one in opened:
        one.close()


def until(events: Iterator[str], kind: str, count: int = 1) -> list[dict[str, Any]]:
    """The data of the next events of this kind."""
    found: list[dict[str, Any]] = []
    for frame in events:
        if f"event: {kind}\n" in frame:
            found.append(json.loads(frame.partition("data: ")[2]))
            if len(found) == count:
                break
    return found


def test_it_begins_with_what_is_there_and_goes_on(hands: Hands, listen: Callable[[int], Iterator[str]]) -> None:
    hands.say(SENDER, "one")
    events = listen(0)
    assert [message["stream"] for message in until(events, "message")] == [1]
    hands.say(SENDER, "two")
    hands.say(SENDER, "three")
    assert [message["stream"] for message in until(events, "message", 2)] == [2, 3]


def test_a_message_event_carries_its_number_as_id(hands: Hands, listen: Callable[[int], Iterator[str]]) -> None:
    hands.say(SENDER, "one")
    frame = next(frame for frame in listen(0) if "event: message" in frame)
    assert frame.startswith("id: 1\n") and frame.endswith("\n\n")
    assert json.loads(frame.partition("data: ")[2])["side"] == "bot"


def test_a_reconnect_gets_exactly_the_rest(hands: Hands, listen: Callable[[int], Iterator[str]]) -> None:
    for number in range(7):
        hands.say(SENDER, f"message {number}")
    got: list[int] = []
    for count in (2, 1, 3, 1):
        got += [message["stream"] for message in until(listen(max(got, default=0)), "message", count)]
    assert got == [1, 2, 3, 4, 5, 6, 7]


def test_more_than_a_page_of_messages_comes_without_waiting(
    hands: Hands, listen: Callable[[int], Iterator[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = outbox.stream_after
    monkeypatch.setattr(outbox, "stream_after", lambda db, conversation, after: real(db, conversation, after, 2))
    for number in range(5):
        hands.say(SENDER, f"message {number}")
    assert [message["stream"] for message in until(listen(0), "message", 5)] == [1, 2, 3, 4, 5]


def test_a_newcomer_can_listen_before_the_first_message(hands: Hands, listen: Callable[[int], Iterator[str]]) -> None:
    events = listen(0)
    assert until(events, "state") == [{"state": "bot", "position": None, "agent": None}]
    hands.say(SENDER, "one")
    assert until(events, "message")[0]["stream"] == 1


def test_the_place_in_the_queue_moves_up(hands: Hands, listen: Callable[[int], Iterator[str]]) -> None:
    hands.tap("somebody-earlier", "human")
    hands.tap(SENDER, "human")
    events = listen(0)
    assert until(events, "state")[0] == {"state": "queued", "position": 2, "agent": None}
    hands.tap("somebody-earlier", "stop_waiting")
    assert until(events, "state")[0]["position"] == 1


def test_an_agent_takes_over_and_lets_go(
    hands: Hands, product: Product, listen: Callable[[int], Iterator[str]]
) -> None:
    hands.tap(SENDER, "human")
    events = listen(0)
    until(events, "state")
    agent = product.people.add("wang.fang", "agent", "a long enough password 7")
    waiting = hands.conversation(SENDER)
    claimed = product.ownership.claim(waiting.id, waiting.epoch, agent)
    assert until(events, "state")[0] == {"state": "agent", "position": None, "agent": "wang.fang"}
    product.ownership.reply(waiting.id, agent, "reply-0001", "您好", 1)
    hands.work()
    said = until(events, "message", 1)[0]
    while said["side"] == "bot":
        said = until(events, "message", 1)[0]
    assert (said["side"], said["author"], said["text"]) == ("agent", "wang.fang", "您好")
    product.ownership.release(waiting.id, agent, claimed.epoch, 1)
    assert until(events, "state")[0]["state"] == "bot"


def test_silence_is_broken_by_a_comment(hands: Hands, listen: Callable[[int], Iterator[str]]) -> None:
    hands.say(SENDER, "one")
    events = listen(1)
    until(events, "state")
    assert next(events) == ": \n\n"


def test_it_ends_when_the_reader_is_too_slow_and_nothing_is_lost(
    hands: Hands, product: Product, listen: Callable[[int], Iterator[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(product.live, "_room", 2)
    hands.say(SENDER, "one")
    events = listen(0)
    until(events, "message")
    for _ in range(4):
        hands.say(SENDER, "more")
    page = next(iter(product.live._pages[hands.conversation(SENDER).id]))
    _wait_until(lambda: page.cut)
    assert not until(events, "message"), "cut: the page comes back and resumes"
    assert [message["stream"] for message in until(listen(1), "message", 4)] == [2, 3, 4, 5]


def _wait_until(condition: Callable[[], bool]) -> None:
    import time

    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def test_it_ends_when_the_database_is_away(
    hands: Hands, product: Product, listen: Callable[[int], Iterator[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.webchat.test_live import _Away

    hands.say(SENDER, "one")
    events = listen(0)
    until(events, "message")
    monkeypatch.setattr(product.database, "engine", _Away())
    assert until(events, "message") == []


def test_it_ends_after_its_lifetime(listen: Callable[[int], Iterator[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "TICK", 0.1)
    monkeypatch.setattr(stream_file, "LIFETIME", 0.2)
    assert until(listen(0), "message") == []


def test_what_must_not_be_seen_yet_is_not_in_the_history(visitor: Visitor, hands: Hands, product: Product) -> None:
    visitor.say("one")
    while hands.turns.work_once():
        pass  # written, but not sent
    assert [line["side"] for line in visitor.history()["messages"]] == ["customer"]


def test_over_http_it_is_an_event_stream(visitor: Visitor, client: FlaskClient) -> None:
    response = client.get("/chat/v1/events?after=0", headers=visitor.headers)
    assert response.mimetype == "text/event-stream"
    assert response.headers["X-Accel-Buffering"] == "no" and response.headers["Cache-Control"] == "no-store"
    assert b"retry: " in next(iter(response.response))
    response.close()


@pytest.mark.parametrize("after", ["-1", "x", "1e3", "٣", "9" * 10])
def test_a_bad_position_is_refused(visitor: Visitor, after: str) -> None:
    assert visitor.get(f"events?after={after}").status_code == 400


def test_last_event_id_wins_over_the_address(app_request: Callable[..., int]) -> None:
    assert app_request("/chat/v1/events?after=3", {"Last-Event-ID": "7"}) == 7
    assert app_request("/chat/v1/events?after=3", {}) == 3
    assert app_request("/chat/v1/events", {}) == 0


@pytest.fixture
def app_request(client: FlaskClient) -> Callable[..., int]:
    def after(path: str, headers: dict[str, str]) -> int:
        with client.application.test_request_context(path, headers=headers):
            return webchat._after()

    return after


def test_only_so_many_streams_per_session(visitor: Visitor, client: FlaskClient) -> None:
    opened = [client.get("/chat/v1/events", headers=visitor.headers) for _ in range(webchat.STREAMS_PER_SESSION)]
    assert visitor.get("events").status_code == 429
    for response in opened:
        response.close()
    again = client.get("/chat/v1/events", headers=visitor.headers)
    assert again.status_code == 200
    again.close()


def test_conversations_of_others_are_out_of_reach(client: FlaskClient, hands: Hands) -> None:
    mine, other = Visitor(client).begin("zh"), Visitor(client).begin("zh")
    other.say("somebody else's secret")
    hands.work()
    assert mine.history()["messages"] == []
    with hands.product.database.read() as db:
        assert len(conversations.recent(db)) == 1
