"""Rasa's door as the product sees it (nlu_data/turn_channel.py's wire), with a scripted talk and every way to fail."""

import json
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

from bot.dialogue import Question, Said
from tests.chaos.wire import Call, Json, Reply

# What an answer with status 200 can be and yet be no result of this turn.
NO_RESULT = ("failed", "empty", "another turn", "state lost", "state damaged", "actions 500")


class RasaServer:
    """`plan` holds what the next turns meet; `always` what all of them do. Faults strike after the talk was asked."""

    def __init__(self, talk: Callable[[Question], Said]) -> None:
        self.talk = talk
        self.plan: list[str] = []
        self.always = "ok"
        self.asked: list[str] = []  # turn ids
        self._lock = threading.Lock()

    def answer(self, call: Call) -> Reply:
        with self._lock:
            fate = self.plan.pop(0) if self.plan else self.always
            self.asked.append(call.body["turn_id"])
        if fate in ("hang", "reset"):
            return Reply(lost=fate)
        return Reply(body=spoilt(fate, wire(call.body, self.talk(_question(call.body)))))


def _question(body: Json) -> Question:
    return Question(**{**body, "now": datetime.fromisoformat(body["now"])})


def wire(body: Json, said: Said) -> Json:
    """An answer as Rasa's channel writes it."""
    state = {"slots": {}, "active_form": None, "question": None, "failures": 0, **said.state}
    answer = {
        "turn_id": body["turn_id"],
        "failed": False,
        "reason": None,
        "replies": list(said.replies),
        "commands": list(said.commands),
        "state": state,
        "intent": {"name": said.intent or "complain", "confidence": 1.0},
        "signals": {},
    }
    copy: Json = json.loads(json.dumps(answer))
    return copy


def spoilt(fate: str, answer: Json) -> Json:
    """The answer with something wrong with it; as it was for "ok"."""
    wrong: dict[str, dict[str, Any]] = {
        "ok": {},
        "failed": {"failed": True, "reason": "exception: KeyError"},
        "empty": {"replies": [], "commands": []},
        "another turn": {"turn_id": "999999"},
        "state lost": {"state": {}},
        "state damaged": {"state": {"slots": "oops", "active_form": None}},
        "actions 500": {"failed": True, "reason": "action server: ClientResponseError"},
        "actions away": {"failed": True, "reason": "action server: ClientConnectorError"},
    }
    return {**answer, **wrong[fate]}
