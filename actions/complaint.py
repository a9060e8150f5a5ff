"""Connects the complaint form to Rasa: slots to draft, step, draft to slots; and what follows when the form ends."""

from __future__ import annotations

from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.events import EventType, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from actions import form
from actions.draft import QUESTIONS, Draft
from actions.required_fields import fields
from actions.turn import Answer, turn_of

FORM = "complaint_form"
_OWN_SLOTS = (*fields(), "options", "failures", "outcome", "also", "rest")


class ValidateComplaintForm(Action):  # type: ignore[misc]  # rasa_sdk is untyped
    """Called by Rasa on every turn of the form, at its start, and again after a digression."""

    def name(self) -> str:
        return f"validate_{FORM}"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> list[EventType]:
        draft, turn = _draft_of(tracker), turn_of(tracker)
        if draft.question is None:
            step = form.begin(draft, turn)
        elif digressed_before(tracker, FORM):
            step = form.ask_again(draft, turn)
        else:
            step = form.advance(draft, turn)
        step.answer.send(dispatcher)
        # No slot set makes Rasa reject the form for this turn, so that another topic's rule answers.
        return [] if step.digressed else _events(step)


class ComplaintDone(Action):  # type: ignore[misc]  # rasa_sdk is untyped
    """After the form, which files by itself: forgets what is cancelled, and clears every slot, else the next complaint begins with the old one."""

    def name(self) -> str:
        return "action_complaint_done"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> list[EventType]:
        if tracker.get_slot("outcome") == form.CANCELLED:
            answer = Answer()
            answer.say("form.cancelled", None, ["complain", "status", "human"])
            answer.command("forget_draft")
            answer.send(dispatcher)
        return [SlotSet(name, None) for name in _OWN_SLOTS]


def _draft_of(tracker: Tracker) -> Draft:
    asked = tracker.get_slot("requested_slot")
    if asked not in QUESTIONS:  # another form's, which this complaint interrupts
        asked = None
    return Draft(
        values={name: tracker.get_slot(name) for name in fields()},
        question=asked,
        failures=int(tracker.get_slot("failures") or 0) if asked else 0,
        options=tuple(tracker.get_slot("options") or ()),
        also=tracker.get_slot("also") if asked else None,
        rest=tuple(tracker.get_slot("rest") or ()),
    )


def _events(step: form.Step) -> list[EventType]:
    draft = step.draft
    own = {**draft.values, "failures": draft.failures, "options": list(draft.options), "outcome": step.outcome}
    own |= {"also": draft.also, "rest": list(draft.rest) or None, "filed": None, "privacy": None}
    asked = None if step.outcome else draft.question
    return [SlotSet(name, value) for name, value in own.items()] + [SlotSet("requested_slot", asked)]


def digressed_before(tracker: Tracker, form_name: str) -> bool:
    """Whether another action than this form has already answered this turn."""
    for event in reversed(tracker.events):
        if event["event"] == "user":
            return False
        if event["event"] == "action" and event["name"] not in (form_name, "action_listen"):
            return True
    return False
