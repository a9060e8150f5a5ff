"""Rasa's answers over HTTP: what counts as a result, as the turn's failure, and as nobody there."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from bot.dialogue import Question, Rasa
from bot.errors import DialogueDown, TurnFailed

GOOD: dict[str, Any] = {
    "turn_id": "7",
    "failed": False,
    "reason": None,
    "replies": [{"key": "ask.number", "args": {}, "question": "number", "buttons": [{"payload": "skip", "key": "b"}]}],
    "commands": [{"name": "tell_status", "args": {"reference": None}}],
    "state": {"slots": {}, "active_form": None},
    "intent": {"name": "complain", "confidence": 0.9},
    "signals": {"anger": 0.1},
}
QUESTION = Question("7", "宽带断了", None, 0, {}, {}, datetime.now(UTC), "Asia/Shanghai", "zh")


class Answers(BaseHTTPRequestHandler):
    """Answers every post with what the test has planned."""

    status = 200
    body: bytes = b""
    asked: dict[str, Any] = {}  # noqa: RUF012 - one server, one test at a time

    def do_POST(self) -> None:
        Answers.asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(Answers.status)
        self.send_header("Content-Length", str(len(Answers.body)))
        self.end_headers()
        self.wfile.write(Answers.body)

    def log_message(self, *_args: Any) -> None:
        """Quiet."""


@pytest.fixture
def rasa() -> Iterator[Rasa]:
    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    client = Rasa(f"http://127.0.0.1:{server.server_port}", 5)
    yield client
    client.close()
    server.shutdown()
    thread.join()
    server.server_close()


def plan(body: object, status: int = 200) -> None:
    Answers.status = status
    Answers.body = body if isinstance(body, bytes) else json.dumps(body).encode()


def test_a_result(rasa: Rasa) -> None:
    plan(GOOD)
    said = rasa.turn(QUESTION)
    assert said.intent == "complain" and said.commands == GOOD["commands"]
    assert Answers.asked["text"] == "宽带断了" and Answers.asked["payload"] is None


@pytest.mark.parametrize(
    "body",
    [
        {**GOOD, "failed": True, "reason": "action server: ClientResponseError"},
        {**GOOD, "turn_id": "8"},
        {**GOOD, "replies": [], "commands": []},
        {**GOOD, "replies": [{}]},
        {**GOOD, "state": None},
        {**GOOD, "state": {}},
        {**GOOD, "state": {"slots": [], "active_form": None}},
        {**GOOD, "state": {"slots": {}, "active_form": 7}},
        {},
        [],
        b"not json",
    ],
)
def test_no_result_is_the_turns_failure(rasa: Rasa, body: object) -> None:
    plan(body)
    with pytest.raises(TurnFailed):
        rasa.turn(QUESTION)


def test_an_error_page_is_the_turns_failure(rasa: Rasa) -> None:
    plan(b"", 500)
    with pytest.raises(TurnFailed, match="500"):
        rasa.turn(QUESTION)


@pytest.mark.parametrize("error", ["ClientConnectorError", "ServerDisconnectedError"])
def test_an_action_server_that_is_away_is_not(rasa: Rasa, error: str) -> None:
    plan({**GOOD, "failed": True, "reason": f"action server: {error}"})
    with pytest.raises(DialogueDown):
        rasa.turn(QUESTION)


def test_nobody_there() -> None:
    client = Rasa("http://127.0.0.1:9", 5)
    for _ in range(2):
        with pytest.raises(DialogueDown):
            client.turn(QUESTION)
    assert not client.alive()
    client.close()
