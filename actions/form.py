"""Takes a complaint step by step: (draft, turn) gives the next draft, what to say, and whether it ends.

Pure: no Rasa, no clock, no input or output. Bounded: a question that fails once is explained, twice it offers a way
out, three times it is left out (or a person is called where it cannot be).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from actions import asking, reading
from actions.draft import CHANGE, CONFIRM, OTHER, SKIPPED, TWO, Draft
from actions.required_fields import fields
from actions.turn import Answer, Turn, masked

FILED = "filed"
CANCELLED = "cancelled"

# Turns that are answered by their own topic; afterwards the form repeats its question. Free-text questions need
# more certainty, since an answer may look like anything.
_DIGRESSIONS = frozenset(
    [
        "complaint_status",
        "greet",
        "thanks",
        "bot_challenge",
        "ask_tariff",
        "ask_bill",
        "ask_outage",
        "ask_process",
        "appeal",
        "chitchat",
        "insult",
        "suggest_praise",
        "out_of_scope",
        "language",
        "plain",
        "unplain",
    ]
)
# What belongs to complaints that are filed waits until this one is.
_LATER = frozenset(["privacy_request", "rate", "urge", "not_resolved", "resolved"])
_FREE_TEXT = {"what": 0.55, "place": 0.6, "remedy": 0.6}
_JOIN = re.compile(r"合|一起|一件|一个|同一|together|one\b|join|same|single", re.IGNORECASE)
_SPLIT = re.compile(r"分|两|各|separat|two|split|each|both", re.IGNORECASE)


@dataclass
class Step:
    """Result of a turn. `outcome` ends the form; `digressed` leaves the turn to another topic."""

    draft: Draft
    answer: Answer = field(default_factory=Answer)
    outcome: str | None = None
    digressed: bool = False


def begin(draft: Draft, turn: Turn) -> Step:
    """The first turn: takes from the text whatever it tells, asks for the rest."""
    step = Step(draft)
    if turn.payload and turn.payload.startswith("category:"):
        step.draft = _with_category(draft, turn.payload)
    if not turn.has_words or not reading.has_content(turn.text):
        return _ask_next(step, turn)
    step.draft = step.draft.with_values(**(reading.answer(draft.asking("what"), turn) or {}))
    _receive(step, turn)
    if len(turn.problems) == 2:
        step.draft = replace(step.draft.asking(TWO), rest=tuple(reading.problem(turn, one) for one in turn.problems))
        return _ask(step, turn)
    return _ask_next(step, turn)


def advance(draft: Draft, turn: Turn) -> Step:
    """Any later turn, with a question open."""
    step = Step(draft)
    if turn.payload:
        return _tapped(step, turn)
    if not turn.has_words:
        return _wordless(step, turn)
    if turn.shows_card:
        step.answer.say("form.card_masked")
    if turn.means("cancel", 0.35) or turn.means("withdraw", 0.5):
        return _cancelled(step)
    if _wants_person(draft, turn):
        step.answer.command("call_agent", reason="wish")
        return step
    return _said(step, turn)


def ask_again(draft: Draft, turn: Turn) -> Step:
    """Repeats the open question, after a digression or a tap that fits nothing."""
    return _ask(Step(draft), turn)


def _wants_person(draft: Draft, turn: Turn) -> bool:
    """By the model; the sure words never get here. "派人来" can be what is asked for, not whom."""
    sure_enough = 0.85 if draft.question in _FREE_TEXT else 0.4
    return turn.means("ask_human", sure_enough) or (
        turn.wants_human and turn.is_short and draft.question not in _FREE_TEXT
    )


def _receive(step: Step, turn: Turn) -> None:
    """One concrete apology; and what has to be said at once to whom it concerns."""
    if turn.shows_card:
        step.answer.say("form.card_masked")
    top = (step.draft.category or OTHER).partition(".")[0]
    step.answer.say(f"sorry.{top}")
    if turn.threatens:
        step.answer.say("complaint.your_right")
    elif turn.is_angry:
        step.answer.say("complaint.or_a_person")


def _said(step: Step, turn: Turn) -> Step:
    question = step.draft.question
    seems_corrected = turn.intent == "correct" and not _names_answer(step.draft, turn)
    if question != "what" and (seems_corrected or reading.corrects(turn.text)):
        corrected = _corrected(step, turn)
        if corrected:
            return corrected
    if turn.means("skip") and question not in (CONFIRM, CHANGE, TWO):
        return _skipped(step, turn)
    if turn.means("goodbye", 0.5) and not _names_answer(step.draft, turn):
        step.answer.say("form.bye")
        return step
    if _belongs_later(step.draft, turn):
        step.answer.say("form.later")
        return _ask(step, turn)
    if _digresses(step.draft, turn):
        step.digressed = True
        return step
    return _ANSWERED.get(question or "what", _answered)(step, turn)


def _tapped(step: Step, turn: Turn) -> Step:
    kind, _, subject = (turn.payload or "").partition(":")
    if kind == "cancel":
        return _cancelled(step)
    if kind == "human":
        step.answer.command("call_agent", reason="wish")
        return step
    if kind == "status":
        step.digressed = True
        return step
    if kind == "category" and subject:
        step.draft = _with_category(step.draft, turn.payload or "")
        return _ask_next(step, turn)
    if kind == "skip" and step.draft.question not in (CONFIRM, CHANGE, TWO):
        return _skipped(step, turn)
    if kind == "change" and subject in fields():
        return _change_field(step, subject, turn)
    return _decided(step, turn, kind)


def _decided(step: Step, turn: Turn, kind: str) -> Step:
    if kind in ("affirm", "deny") and step.draft.question == CONFIRM:
        return _confirming(step, turn)
    if kind in ("split", "join") and step.draft.question == TWO:
        return _parted(step, turn, split=kind == "split")
    return ask_again(step.draft, turn)


def _with_category(draft: Draft, payload: str) -> Draft:
    return draft.with_values(category=payload.partition(":")[2])


def _wordless(step: Step, turn: Turn) -> Step:
    """A picture is welcome and no failure; emoji or blanks are no answer."""
    if turn.attachments:
        step.answer.say("form.picture")
        return _ask(step, turn)
    return _failed(step, turn)


def _cancelled(step: Step) -> Step:
    step.outcome = CANCELLED
    return step


def _belongs_later(draft: Draft, turn: Turn) -> bool:
    """A wish about a filed complaint; where any words can be the answer ("尽快修好"), they are the answer."""
    if turn.intent not in _LATER or draft.question in _FREE_TEXT:
        return False
    return turn.is_short and turn.confidence >= 0.6 and not _names_answer(draft, turn)


def _digresses(draft: Draft, turn: Turn) -> bool:
    if turn.intent not in _DIGRESSIONS:
        return False
    if _names_answer(draft, turn):
        return False
    long_story = draft.question == "what" and not turn.is_short
    return not long_story and turn.confidence >= _FREE_TEXT.get(draft.question or "", 0.45)


def _names_answer(draft: Draft, turn: Turn) -> bool:
    """Whether the text holds just the kind of fact that is asked for, whatever intent the model sees.

    A number always does. "Nice weather today" names a day and is no answer to "when": the fact must be most of the
    text, or the model unsure.
    """
    for name in draft.asked():
        if name == "number" and (turn.first("number") or turn.first("receipt_code")):
            return True
        found = next((one for one in turn.entities if one["entity"] == name), None)
        if found and (turn.confidence < 0.6 or 2 * (found["end"] - found["start"]) >= len(turn.text)):
            return True
    return "place" in draft.asked() and turn.is_short and reading.names_place(turn.text)


def _answered(step: Step, turn: Turn) -> Step:
    values = reading.answer(step.draft, turn) or reading.missing_facts(step.draft, turn)
    if not values:
        return _failed(step, turn)
    first_words = step.draft.question == "what"
    step.draft = step.draft.with_values(**values)
    if first_words:
        _receive(step, turn)
    return _ask_next(step, turn)


def _skipped(step: Step, turn: Turn) -> Step:
    if not step.draft.is_skippable():
        return _failed(step, turn)
    step.draft = step.draft.with_values(**dict.fromkeys(step.draft.asked(), SKIPPED))
    return _ask_next(step, turn)


def _corrected(step: Step, turn: Turn) -> Step | None:
    """ "号码写错了，是139…" changes the field at once; "号码写错了" asks for it again."""
    given = reading.correction(step.draft, turn)
    if given and not any(step.draft.told(name) for name in given):
        return None  # nothing to correct: an ordinary answer ("my number is …")
    if given:
        step.draft = step.draft.with_values(**given)
        step.answer.say("form.corrected")
        return _ask_next(step, turn)
    named = reading.field_named(turn.text)
    return _change_field(step, named, turn) if named and step.draft.told(named) else None


def _change_field(step: Step, name: str, turn: Turn) -> Step:
    step.draft = asking.for_question(step.draft.with_values(**{name: None}), name, turn)
    return _ask(step, turn)


def _parting(step: Step, turn: Turn) -> Step:
    """Told in words whether it is one complaint or two; whoever talks on is not asked again: both get filed."""
    if turn.means("affirm") or _SPLIT.search(turn.text):
        return _parted(step, turn, split=True)
    if turn.means("deny") or _JOIN.search(turn.text):
        return _parted(step, turn, split=False)
    return _failed(step, turn) if not step.draft.failures else _parted(step, turn, split=True)


def _parted(step: Step, turn: Turn, *, split: bool) -> Step:
    first, second = step.draft.rest
    if split:
        step.draft = _only(first, step.draft, rest=(second,))
        step.answer.say("form.one_by_one")
    else:
        step.draft = replace(step.draft, rest=())
    return _ask_next(step, turn)


def _only(problem: dict[str, Any], before: Draft, rest: tuple[dict[str, Any], ...]) -> Draft:
    """A draft of one of several problems: what was told of this one, and what is the same for all."""
    shared = {name: before.values.get(name) for name in ("number", "place")}
    return Draft({**dict.fromkeys(fields(), None), **shared, **problem["values"]}, rest=rest)


def _confirming(step: Step, turn: Turn) -> Step:
    if turn.means("affirm"):
        return _filed(step, turn)
    if turn.means("deny") or turn.means("correct"):
        step.draft = step.draft.asking(CHANGE)
        return _ask(step, turn)
    remedy = reading.late_remedy(step.draft, turn)
    if remedy:
        step.draft = step.draft.with_values(remedy=remedy)
        return _ask_next(step, turn)
    given = reading.facts(turn)
    if not turn.is_short or turn.intent in ("complain", "add_information", "appeal", "urge") or given:
        step.draft = _told_more(step.draft, turn)
        return _ask_next(step, turn)
    return _failed(step, turn)


def _filed(step: Step, turn: Turn) -> Step:
    """Files; a second problem of the same message begins at once, with what is the same for both."""
    draft = step.draft
    step.answer.command("file_complaint", category=draft.category, fields=draft.filed_fields(), language=turn.language)
    if not draft.rest:
        step.outcome = FILED
        return step
    step.draft = _only(draft.rest[0], draft, rest=draft.rest[1:])
    step.answer.say("form.next_problem", category=draft.rest[0]["category"])
    return _ask_next(step, turn)


def _told_more(draft: Draft, turn: Turn) -> Draft:
    """At the read-back, whatever is told beyond yes and no belongs to the complaint."""
    missing = {name: value for name, value in reading.facts(turn).items() if draft.told(name) is None}
    return draft.with_values(what=f"{draft.told('what')}\n{masked(turn.text)}", **missing)


def _changing(step: Step, turn: Turn) -> Step:
    if turn.means("affirm") or turn.means("deny") or turn.means("skip"):
        return _ask_next(step, turn)
    given = {name: value for name, value in reading.facts(turn).items() if name != "remedy" or len(turn.text) > 3}
    if given:
        step.draft = step.draft.with_values(**given)
        return _ask_next(step, turn)
    named = reading.field_named(turn.text)
    return _change_field(step, named, turn) if named else _failed(step, turn)


def _failed(step: Step, turn: Turn) -> Step:
    question = step.draft.question or "what"
    step.draft = step.draft.asking(question, step.draft.failures + 1, step.draft.options)
    shown = asking.buttons(step.draft)
    if step.draft.failures == 1:
        step.answer.say(f"retry.{question}", question, shown)
        return step
    if step.draft.failures == 2:
        way_out = "form.stuck" if step.draft.is_skippable() else "form.stuck_required"
        step.answer.say(way_out, question, [*shown, "human"])
        return step
    if step.draft.is_skippable():
        step.answer.say("form.left_out")
        return _skipped(step, turn)
    step.draft = step.draft.asking(question)
    step.answer.say("handoff.form_failure")
    step.answer.command("call_agent", reason="form_failure")
    return step


def _ask_next(step: Step, turn: Turn) -> Step:
    step.draft = asking.next_question(step.draft, turn)
    return _ask(step, turn)


def _ask(step: Step, turn: Turn) -> Step:
    asking.ask(step.draft, step.answer, turn)
    return step


# How an answer in words is taken, where the question is not for a field.
_ANSWERED: dict[str, Callable[[Step, Turn], Step]] = {CONFIRM: _confirming, CHANGE: _changing, TWO: _parting}
