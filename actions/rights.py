"""What customers may expect and demand: how a complaint goes on, when it must be answered, where to appeal."""

from __future__ import annotations

from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.events import EventType
from rasa_sdk.executor import CollectingDispatcher

from actions.subject import OVER, Known
from actions.turn import Answer, Turn, turn_of


class TellRights(Action):  # type: ignore[misc]  # rasa_sdk is untyped
    """The right to appeal, with the customer's own day count; never discouraged (docs/regulation.md)."""

    def name(self) -> str:
        return "action_tell_rights"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> list[EventType]:
        rights(turn_of(tracker)).send(dispatcher)
        return []


class TellProcess(Action):  # type: ignore[misc]  # rasa_sdk is untyped
    """What happens next: with this complaint and its dates, else with any."""

    def name(self) -> str:
        return "action_tell_process"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> list[EventType]:
        process(turn_of(tracker)).send(dispatcher)
        return []


def rights(turn: Turn) -> Answer:
    answer, mine = Answer(), _open(turn)
    if mine is None:
        answer.say("rights.appeal", None, ["complain", "human"])
    else:
        answer.say("rights.own", **{name: mine[name] for name in ("reference", "day", "due_at")})
        answer.say("rights.appeal", None, [f"urge:{mine['reference']}", "human"])
    return answer


def process(turn: Turn) -> Answer:
    answer, mine = Answer(), _open(turn)
    if mine is None:
        answer.say("answer.ask_process", None, ["complain", "status", "human"])
    else:
        told = {name: mine[name] for name in ("reference", "category", "state", "day", "due_at")}
        answer.say("process.own", None, [f"{offer}:{mine['reference']}" for offer in ("urge", "add")], **told)
    return answer


def _open(turn: Turn) -> Known | None:
    """The newest complaint that is not over."""
    return next((one for one in turn.complaints if one["state"] not in OVER), None)
