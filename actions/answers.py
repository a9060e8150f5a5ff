"""Short answers that need data or a command: status, a person, and what was not understood."""

from __future__ import annotations

from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.events import EventType, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions.subject import OVER
from actions.turn import Answer, Turn, masked, turn_of


class TellStatus(Action):  # type: ignore[misc]  # rasa_sdk is untyped
    """Asks the caller to tell the status of a complaint: of the reference given, else of the customer's own."""

    def name(self) -> str:
        return "action_tell_status"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> list[EventType]:
        _tell_status(turn_of(tracker)).send(dispatcher)
        return []


class CallAgent(Action):  # type: ignore[misc]  # rasa_sdk is untyped
    """Asks the caller for a person."""

    def name(self) -> str:
        return "action_call_agent"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> list[EventType]:
        answer = Answer()
        answer.command("call_agent", reason="wish")
        answer.send(dispatcher)
        return []


class Fallback(Action):  # type: ignore[misc]  # rasa_sdk is untyped
    """Says that the turn was not understood; the second time in a row a person comes."""

    def name(self) -> str:
        return "action_fallback"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> list[EventType]:
        turn = turn_of(tracker)
        at_once = _tell_status(turn) if turn.first("reference") else _evidence(turn)
        if at_once:
            at_once.send(dispatcher)
            return []
        failures = int(tracker.get_slot("failures") or 0) + 1
        answer = Answer()
        if failures > 1:
            answer.say("handoff.misunderstood")
            answer.command("call_agent", reason="misunderstood")
        else:
            _not_understood(turn, answer)
        answer.send(dispatcher)
        return [SlotSet("failures", failures if failures == 1 else None)]


def _not_understood(turn: Turn, answer: Answer) -> None:
    if turn.shows_card:
        answer.say("form.card_masked")
    key = "fallback.first" if turn.has_words or turn.payload else "fallback.wordless"
    open_ones = ["add"] if any(one["state"] not in OVER for one in turn.complaints) else []
    answer.say(key, None, [*open_ones, "complain", "status", "human"])


def _evidence(turn: Turn) -> Answer | None:
    """A picture whose few words say nothing by themselves, where there is just one complaint that it can belong to."""
    known = [one for one in turn.complaints if one["state"] not in OVER]
    if not turn.attachments or len(known) != 1:
        return None
    answer = Answer()
    answer.command("add_information", reference=known[0]["reference"], receipt_code=None, text=masked(turn.text))
    return answer


def _tell_status(turn: Turn) -> Answer:
    answer = Answer()
    answer.command("tell_status", reference=turn.first("reference"), receipt_code=turn.first("receipt_code"))
    return answer
