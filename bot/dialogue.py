"""The Dialogue contract, Rasa over HTTP behind it, and Script, its twin without Rasa."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import httpx

from bot.errors import DialogueDown, TurnFailed
from bot.measures import Measures

# What aiohttp, inside Rasa, says of an action server that is not there.
_AWAY = frozenset({"ClientConnectorError", "ClientOSError", "ServerDisconnectedError", "ConnectionRefusedError"})
_PAUSE_WHEN_DOWN = 1.0  # seconds during which nobody else asks a Rasa that did not answer


@dataclass(frozen=True)
class Question:
    """One turn as Rasa is asked: text XOR payload. `state` is what the last answer gave back."""

    turn_id: str
    text: str | None
    payload: str | None
    attachments: int
    state: Mapping[str, Any]
    context: Mapping[str, Any]
    now: datetime
    timezone: str
    language: str


@dataclass(frozen=True)
class Said:
    """What the dialogue wants said and done: text keys and commands, nothing rendered, nothing done yet."""

    replies: Sequence[Mapping[str, Any]]
    commands: Sequence[Mapping[str, Any]]
    state: Mapping[str, Any]
    intent: str = ""
    signals: Mapping[str, Any] = field(default_factory=dict)


class Dialogue(Protocol):
    """(state, words) -> (state, replies, commands). The same question again gives the same answer."""

    def turn(self, question: Question) -> Said:
        """Raises DialogueDown (nobody to blame but the connection) or TurnFailed (this turn has no result)."""
        ...

    def alive(self) -> bool: ...

    def close(self) -> None: ...


class Rasa:
    """Rasa 3.6 through our own stateless `turn` channel (nlu_data/turn_channel.py)."""

    def __init__(self, url: str, timeout: float) -> None:
        self._client = httpx.Client(base_url=url, timeout=httpx.Timeout(timeout, connect=2.0), trust_env=False)
        self._down_until = 0.0

    def turn(self, question: Question) -> Said:
        if time.monotonic() < self._down_until:
            raise DialogueDown("was not there a moment ago")
        try:
            answer = self._client.post("/webhooks/turn/", json=_wire(question))
        except httpx.HTTPError as error:
            self._down_until = time.monotonic() + _PAUSE_WHEN_DOWN
            raise DialogueDown(type(error).__name__) from None
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise DialogueDown("model not loaded")
        return read_answer(question.turn_id, answer)

    def alive(self) -> bool:
        try:
            return self._client.get("/webhooks/turn/health", timeout=1.0).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def close(self) -> None:
        self._client.close()


def _wire(question: Question) -> dict[str, Any]:
    return {
        "turn_id": question.turn_id,
        "text": question.text,
        "payload": question.payload,
        "attachments": question.attachments,
        "state": dict(question.state),
        "context": dict(question.context),
        "now": question.now.isoformat(),
        "timezone": question.timezone,
        "language": question.language,
    }


def read_answer(turn_id: str, answer: httpx.Response) -> Said:
    """Raises TurnFailed for everything that is not a complete result of this very turn."""
    if answer.status_code != httpx.codes.OK:
        raise TurnFailed(f"status {answer.status_code}")
    try:
        body = answer.json()
        if body["turn_id"] != turn_id or body["failed"]:
            raise _failure(str(body.get("reason") or "other turn"))
        said = Said(
            replies=[_reply(reply) for reply in body["replies"]],
            commands=[{"name": str(c["name"]), "args": dict(c.get("args") or {})} for c in body["commands"]],
            state=_state(body["state"]),
            intent=str((body.get("intent") or {}).get("name") or ""),
            signals=dict(body.get("signals") or {}),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TurnFailed(f"unreadable answer: {type(error).__name__}") from None
    if not said.replies and not said.commands:
        raise TurnFailed("empty")
    return said


def _state(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """A state that has lost its slots or its form would reset what the customer has told us. Raises TypeError, KeyError."""
    if not isinstance(raw["slots"], dict) or not isinstance(raw["active_form"], str | None):
        raise TypeError("state")
    return dict(raw)


def _failure(reason: str) -> DialogueDown | TurnFailed:
    """An action server that is being restarted is nobody's turn's fault."""
    where, _, error = reason.partition("action server: ")
    return DialogueDown(reason) if not where and error in _AWAY else TurnFailed(reason)


def _reply(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "key": str(raw["key"]),
        "args": dict(raw.get("args") or {}),
        "question": raw.get("question"),
        "buttons": [_button(one) for one in raw.get("buttons") or ()],
    }


class Timed:
    """Any dialogue, with a stopwatch."""

    def __init__(self, dialogue: Dialogue, measures: Measures) -> None:
        self._dialogue = dialogue
        self._measures = measures

    def turn(self, question: Question) -> Said:
        with self._measures.turning():
            return self._dialogue.turn(question)

    def alive(self) -> bool:
        return self._dialogue.alive()

    def close(self) -> None:
        self._dialogue.close()


def _button(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    spec: dict[str, Any] = {"payload": str(raw["payload"]), "key": str(raw["key"])}
    return {**spec, "args": dict(raw["args"])} if raw.get("args") else spec


class Script:
    """A dialogue that follows a function: demos and tests without Rasa."""

    def __init__(self, answer: Callable[[Question], Said] | None = None) -> None:
        self.answer = answer or _echo
        self.asked: list[Question] = []

    def turn(self, question: Question) -> Said:
        self.asked.append(question)
        return self.answer(question)

    def alive(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing to close."""


def _echo(question: Question) -> Said:
    return Said(replies=[{"key": "system.one_moment", "args": {}, "buttons": []}], commands=[], state={})
