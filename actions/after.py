"""Connects what is said about filed complaints and about personal data to Rasa: slots to state, step, state to slots."""

from __future__ import annotations

from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.events import EventType, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions import filed, privacy
from actions.complaint import digressed_before
from actions.filed import Filed
from actions.turn import turn_of

FILED_FORM = "filed_form"
PRIVACY_FORM = "privacy_form"


class ValidateFiledForm(Action):  # type: ignore[misc]  # rasa_sdk is untyped
    """Called by Rasa on every turn of the form, at its start, and again after a digression."""

    def name(self) -> str:
        return f"validate_{FILED_FORM}"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> list[EventType]:
        state, turn = _filed_of(tracker), turn_of(tracker)
        if state is None:
            step = filed.begin(turn)
        elif digressed_before(tracker, FILED_FORM):
            step = filed.ask_again(state, turn)
        else:
            step = filed.advance(state, turn)
        step.answer.send(dispatcher)
        if step.digressed:
            return []  # Rasa rejects the form for this turn, so that another topic's rule answers
        kept = vars(step.state) | {"options": list(step.state.options)} if step.state.question else None
        return [SlotSet("filed", kept), SlotSet("privacy", None), SlotSet("requested_slot", step.state.question)]


class ValidatePrivacyForm(Action):  # type: ignore[misc]  # rasa_sdk is untyped
    """The same for requests about personal data."""

    def name(self) -> str:
        return f"validate_{PRIVACY_FORM}"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> list[EventType]:
        known: dict[str, Any] = tracker.get_slot("privacy") or {}
        turn, question = turn_of(tracker), known.get("question")
        if not question:
            step = privacy.begin(turn)
        elif digressed_before(tracker, PRIVACY_FORM):
            step = privacy.ask_again(question, known.get("request"), known.get("words", ""))
        else:
            step = privacy.advance(question, known.get("request"), known.get("words", ""), turn)
        step.answer.send(dispatcher)
        if step.digressed:
            return []
        kept = {"question": step.question, "request": step.request, "words": step.words} if step.question else None
        return [SlotSet("privacy", kept), SlotSet("filed", None), SlotSet("requested_slot", step.question)]


def _filed_of(tracker: Tracker) -> Filed | None:
    """None where nothing is asked about a filed complaint, whatever another form is asking."""
    kept = tracker.get_slot("filed")
    if not isinstance(kept, dict):
        return None
    return Filed(**{**kept, "options": tuple(kept["options"])})
