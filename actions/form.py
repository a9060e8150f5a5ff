"""Takes a complaint step by step: (draft, turn) gives the next draft, what to say, and whether it ends.

Pure: no Rasa, no clock, no input or output. Bounded: a question that fails once is explained, twice it offers a way
out, three times it is left out (or a person is called where it cannot be).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from actions import reading
from actions.draft import CHANGE, CONFIRM, OTHER, SKIPPED, Draft
from actions.required_fields import fields, required
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
        "chitchat",
        "insult",
        "privacy_request",
        "suggest_praise",
        "rate",
        "out_of_scope",
    ]
)
_FREE_TEXT = {"what": 0.55, "place": 0.6, "remedy": 0.6}


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
    if turn.has_words and reading.has_content(turn.text):
        step.draft = step.draft.with_values(**(reading.answer(draft.asking("what"), turn) or {}))
        step.answer.say("complaint.noted")
    return _ask_next(step, turn)


def advance(draft: Draft, turn: Turn) -> Step:
    """Any later turn, with a question open."""
    step = Step(draft)
    if turn.payload:
        return _tapped(step, turn)
    if not turn.has_words:
        return _wordless(step, turn)
    if turn.means("cancel", 0.35) or turn.means("withdraw", 0.5):
        return _cancelled(step)
    if turn.means("ask_human") or (turn.wants_human and turn.is_short):
        step.answer.command("call_agent", reason="wish")
        return step
    return _said(step, turn)


def ask_again(draft: Draft) -> Step:
    """Repeats the open question, after a digression or a tap that fits nothing."""
    step = Step(draft)
    _ask(step)
    return step


def _said(step: Step, turn: Turn) -> Step:
    if turn.intent == "correct" and step.draft.question != "what":
        corrected = _corrected(step, turn)
        if corrected:
            return corrected
    if turn.means("skip") and step.draft.question not in (CONFIRM, CHANGE):
        return _skipped(step, turn)
    if turn.means("goodbye", 0.5) and not _names_answer(step.draft, turn):
        step.answer.say("form.bye")
        return step
    if _digresses(step.draft, turn):
        step.digressed = True
        return step
    if step.draft.question == CONFIRM:
        return _confirming(step, turn)
    if step.draft.question == CHANGE:
        return _changing(step, turn)
    return _answered(step, turn)


def _tapped(step: Step, turn: Turn) -> Step:
    kind, _, subject = (turn.payload or "").partition(":")
    asks_field = step.draft.question not in (CONFIRM, CHANGE)
    if kind == "cancel":
        return _cancelled(step)
    if kind == "human":
        step.answer.command("call_agent", reason="wish")
        return step
    if kind == "status":
        step.digressed = True
        return step
    if kind == "skip" and asks_field:
        return _skipped(step, turn)
    if kind == "change" and subject in fields():
        return _change_field(step, subject, turn)
    if kind == "category":
        step.draft = _with_category(step.draft, turn.payload or "")
        return _ask_next(step, turn)
    if kind in ("affirm", "deny") and step.draft.question == CONFIRM:
        return _confirming(step, turn)
    return ask_again(step.draft)


def _with_category(draft: Draft, payload: str) -> Draft:
    return draft.with_values(category=payload.partition(":")[2])


def _wordless(step: Step, turn: Turn) -> Step:
    """A picture is welcome and no failure; emoji or blanks are no answer."""
    if turn.attachments:
        step.answer.say("form.picture")
        _ask(step)
        return step
    return _failed(step, turn)


def _cancelled(step: Step) -> Step:
    step.outcome = CANCELLED
    return step


def _digresses(draft: Draft, turn: Turn) -> bool:
    if turn.intent not in _DIGRESSIONS:
        return False
    if _names_answer(draft, turn):
        return False
    long_story = draft.question == "what" and not turn.is_short
    return not long_story and turn.confidence >= _FREE_TEXT.get(draft.question or "", 0.45)


def _names_answer(draft: Draft, turn: Turn) -> bool:
    """Whether the text holds just the kind of fact that is asked for, whatever intent the model sees."""
    kinds = {"number": ("number", "receipt_code")}.get(draft.question or "", (draft.question or "",))
    return any(turn.first(kind) is not None for kind in kinds)


def _answered(step: Step, turn: Turn) -> Step:
    values = reading.answer(step.draft, turn) or reading.missing_facts(step.draft, turn)
    if not values:
        return _failed(step, turn)
    step.draft = step.draft.with_values(**values)
    return _ask_next(step, turn)


def _skipped(step: Step, turn: Turn) -> Step:
    if not step.draft.is_skippable():
        return _failed(step, turn)
    step.draft = step.draft.with_values(**{step.draft.question or "": SKIPPED})
    return _ask_next(step, turn)


def _corrected(step: Step, turn: Turn) -> Step | None:
    """ "号码写错了，是139…" changes the field at once; "号码写错了" asks for it again."""
    given = {name: value for name, value in reading.facts(turn).items() if name != "remedy"}
    if given and not any(step.draft.told(name) for name in given):
        return None  # nothing to correct: an ordinary answer ("my number is …")
    if given:
        step.draft = step.draft.with_values(**given)
        step.answer.say("form.corrected")
        return _ask_next(step, turn)
    named = reading.field_named(turn.text)
    return _change_field(step, named, turn) if named else None


def _change_field(step: Step, name: str, turn: Turn) -> Step:
    step.draft = step.draft.with_values(**{name: None})
    return _ask_question(step, name, turn)


def _confirming(step: Step, turn: Turn) -> Step:
    if turn.means("affirm"):
        step.outcome = FILED
        return step
    if turn.means("deny") or turn.means("correct"):
        return _ask_change(step)
    given = reading.facts(turn)
    if not turn.is_short or turn.intent in ("complain", "add_information", "appeal", "urge") or given:
        step.draft = _told_more(step.draft, turn)
        return _ask_next(step, turn)
    return _failed(step, turn)


def _told_more(draft: Draft, turn: Turn) -> Draft:
    """At the read-back, whatever is told beyond yes and no belongs to the complaint."""
    missing = {name: value for name, value in reading.facts(turn).items() if draft.told(name) is None}
    return draft.with_values(what=f"{draft.told('what')}\n{masked(turn.text)}", **missing)


def _ask_change(step: Step) -> Step:
    step.draft = step.draft.asking(CHANGE)
    _ask(step)
    return step


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
    if step.draft.failures == 1:
        step.answer.say(f"retry.{question}", question, _buttons(step.draft))
        return step
    if step.draft.failures == 2:
        way_out = "form.stuck" if step.draft.is_skippable() else "form.stuck_required"
        step.answer.say(way_out, question, [*_buttons(step.draft), "human"])
        return step
    if step.draft.is_skippable():
        step.answer.say("form.left_out")
        return _skipped(step, turn)
    step.draft = step.draft.asking(question)
    step.answer.command("call_agent", reason="form_failure")
    return step


def _ask_next(step: Step, turn: Turn) -> Step:
    return _ask_question(step, step.draft.next_question(), turn)


def _ask_question(step: Step, question: str, turn: Turn) -> Step:
    options = (*reading.likely_leaves(turn), OTHER) if question == "category" else ()
    if question == "category" and step.draft.question == "category":
        options = step.draft.options
    step.draft = step.draft.asking(question, options=options)
    _ask(step)
    return step


def _ask(step: Step) -> None:
    question = step.draft.question or "what"
    if question == CONFIRM:
        step.answer.say("complaint.read_back", CONFIRM, _buttons(step.draft), **step.draft.read_back())
    elif question == CHANGE:
        step.answer.say("ask.change", CHANGE, _buttons(step.draft))
    else:
        step.answer.say(fields()[question].question, question, _buttons(step.draft))


def _buttons(draft: Draft) -> list[str]:
    """Payloads that answer the open question."""
    if draft.question == CONFIRM:
        return ["affirm", "deny", "cancel"]
    if draft.question == CHANGE:
        return [f"change:{name}" for name in required(draft.category)]
    if draft.question == "category":
        return [f"category:{leaf}" for leaf in draft.options]
    return ["skip", "cancel"] if draft.is_skippable() else ["cancel"]
