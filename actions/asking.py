"""How a question of the complaint form is put: its text, a second one in the same bubble, its buttons."""

from __future__ import annotations

from dataclasses import replace

from actions import reading
from actions.draft import CHANGE, CONFIRM, OTHER, TWO, Draft
from actions.required_fields import fields, required
from actions.turn import Answer, Button, Turn, button

# What can be told in one breath with the number, and told apart from it.
GOES_WITH_NUMBER = ("when", "amount", "place")


def next_question(draft: Draft, turn: Turn) -> Draft:
    """The draft, asking for what is missing; two things at once when more than two are, but never in plain mode."""
    question = draft.next_question()
    missing = draft.missing()
    also = None
    if question == "number" and not turn.plain and len(missing) > 2:
        also = next((name for name in missing if name in GOES_WITH_NUMBER), None)
    return replace(for_question(draft, question, turn), also=also)


def for_question(draft: Draft, question: str, turn: Turn) -> Draft:
    if question != "category":
        return draft.asking(question)
    known = draft.options if draft.question == "category" else ()
    return draft.asking(question, options=known or (*reading.likely_leaves(turn), OTHER))


def ask(draft: Draft, answer: Answer, turn: Turn) -> None:
    """Says the open question, with its buttons; whoever is very angry is offered a person with it."""
    question = draft.question or "what"
    shown = buttons(draft)
    if turn.is_angry and "human" not in shown:
        shown = [*shown, "human"]
    if question == CONFIRM:
        answer.say("complaint.read_back", CONFIRM, shown, **draft.read_back())
    elif question == CHANGE:
        answer.say("ask.change", CHANGE, shown)
    elif question == TWO:
        first, second = draft.rest
        answer.say("ask.two", TWO, shown, category=first["category"], category_two=second["category"])
    elif draft.also:
        answer.say(fields()[question].question)
        answer.say(f"and.{draft.also}", question, shown)
    else:
        answer.say(fields()[question].question, question, shown)


def buttons(draft: Draft) -> list[str | Button]:
    """What answers the open question by a tap."""
    if draft.question == CONFIRM:
        return ["affirm", "deny", "cancel"]
    if draft.question == TWO:
        return ["split", "join"]
    if draft.question == CHANGE:
        return [f"change:{name}" for name in required(draft.category)]
    if draft.question == "category":
        return [button(f"category:{leaf}") for leaf in draft.options]
    return ["skip", "cancel"] if draft.is_skippable() else ["cancel"]
