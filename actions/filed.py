"""What customers do with a complaint that is filed, step by step: (state, turn) gives the next state and what to say.

Pure, like form.py. The product checks again whose complaint it is, and says what it did; here is asked what it needs
to know: which complaint, a yes before a withdrawal, a score, a reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from actions import scores, subject
from actions.reading import has_content
from actions.subject import SOLVED, Known
from actions.turn import Answer, Button, Turn, button, masked

WISHES = {
    "add_information": "add",
    "evidence": "add",
    "urge": "urge",
    "withdraw": "withdraw",
    "not_resolved": "reopen",
    "resolved": "solved",
    "rate": "rate",
}
# Questions that may go unanswered: whoever talks of something else is not asked again.
OPTIONAL = frozenset({"more", "score", "reason"})
_COMMAND = {"urge": "urge", "solved": "confirm_solved"}
_MERE_WISH = re.compile(
    r"我?(?:再|要|想|来)*补充(?:一下|点|一点|说明|信息|材料|情况|内容|一些)*|(?:问题)?(?:根本|还是|还|都|并)*(?:没有?|未)(?:得到)?(?:解决|修好|处理好|弄好)"
    r"|帮我|麻烦|催(?:一下|促|办)?|我的投诉|投诉|不满意|不认可|不接受|你们|处理结果|的|了|啊|吧|呢"
    r"|\b(?:i|want|would|like|need|to|add|something|information|more|my|complaint|it|is|it's|still|not|solved|fixed|resolved|no|the|a|please|one|thing)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Filed:
    """The state: the wish, the complaint it is about, the open question, what was offered."""

    wish: str
    reference: str | None = None
    code: str | None = None
    question: str | None = None
    options: tuple[str, ...] = ()
    failures: int = 0


@dataclass
class Step:
    """Result of a turn. `state.question` None ends it; `digressed` leaves the turn to another topic."""

    state: Filed
    answer: Answer = field(default_factory=Answer)
    digressed: bool = False


def begin(turn: Turn) -> Step:
    """A wish about a filed complaint, by words, by a tap or by a picture."""
    step = Step(Filed(_wish(turn), code=turn.first("receipt_code")))
    given = turn.first("reference")
    known = subject.candidates(step.state.wish, turn)
    one = subject.named(turn, known if not given else list(turn.complaints))
    if given and one is None:  # not the speaker's own: the product asks for proof
        step.state = replace(step.state, reference=given)
        return _proceed(step, turn, None)
    if one is None and len(known) == 1:
        one = known[0]
    if one is not None:
        step.state = replace(step.state, reference=one["reference"])
        return _proceed(step, turn, one)
    return _which(step, turn, known) if known else _nobody(step, turn)


def _wish(turn: Turn) -> str:
    """A picture with a few words is evidence, unless the words are sure to say something else."""
    wish = WISHES.get(turn.intent, "add")
    return wish if not turn.attachments or turn.confidence >= 0.9 else "add"


def advance(state: Filed, turn: Turn) -> Step:
    """Any later turn, with a question open."""
    step = Step(state)
    kind = (turn.payload or "").partition(":")[0]
    if turn.means("cancel", 0.9 if state.question in OPTIONAL else 0.4) or kind == "cancel":
        return _ended(step, "filed.left")
    if kind == "human" or turn.means("ask_human") or (turn.wants_human and turn.is_short):
        step.answer.command("call_agent", reason="wish")
        return _ended(step)
    if _wants_else(state, turn):
        return begin(turn)
    if _digresses(state, turn):
        step.digressed = True
        return step
    return _ANSWERED[state.question or "which"](step, turn)


def ask_again(state: Filed, turn: Turn) -> Step:
    """After a digression: what needs an answer is asked again, the rest is let go."""
    step = Step(state)
    if state.question in OPTIONAL:
        return _ended(step)
    return _ask(step, state.question or "which", turn)


def _nobody(step: Step, turn: Turn) -> Step:
    """There is no complaint yet: a picture waits for its words, a wish is told so."""
    if turn.intent == "evidence":
        step.answer.say("system.photo_alone")
    else:
        step.answer.say("filed.none", None, ["complain", "human"])
    return _ended(step)


def _which(step: Step, turn: Turn, known: list[Known]) -> Step:
    step.state = replace(step.state, options=tuple(one["reference"] for one in known))
    return _ask(step, "which", turn)


def _proceed(step: Step, turn: Turn, one: Known | None) -> Step:
    """What the wish needs to know beyond the complaint; `one` is None for a complaint that must be proven."""
    return _BEGUN[step.state.wish](step, turn, one)


def _add(step: Step, turn: Turn, one: Known | None) -> Step:
    words = "" if turn.payload else told(turn)
    if not words and not turn.attachments:
        return _ask(step, "more", turn)
    _command(step, "add_information", text=words)
    return _ended(step)


def _at_once(step: Step, turn: Turn, one: Known | None) -> Step:
    _command(step, _COMMAND[step.state.wish], text="" if turn.payload else told(turn))
    if step.state.wish == "solved" and one and one["state"] in SOLVED and not one["rated"]:
        return _ask(step, "score", turn)
    return _ended(step)


def _withdraw(step: Step, turn: Turn, one: Known | None) -> Step:
    return _ask(step, "withdraw", turn, one)


def _reopen(step: Step, turn: Turn, one: Known | None) -> Step:
    """Not solved: of a result, goes back to the desk; of work in progress, is a reminder; of a refusal, is for a person."""
    words = "" if turn.payload else told(turn)
    if one and one["state"] == "rejected":
        step.answer.say("handoff.disputed")
        step.answer.command("call_agent", reason="disputed")
        return _ended(step)
    if one and one["state"] not in SOLVED:
        _command(step, "urge", text=words)
        if words:
            _command(step, "add_information", text=words)
        return _ended(step)
    _command(step, "reopen", text=words)
    if words or one is None or one["state"] == "closed":
        return _ended(step)
    return _ask(step, "more", turn)


def _rate(step: Step, turn: Turn, one: Known | None) -> Step:
    score = scores.read(turn)
    if one and (one["state"] not in SOLVED or one["rated"]):
        score = score or 5  # the product says why there is nothing to rate
        _command(step, "rate", score=score)
        return _ended(step)
    if score is None:
        return _ask(step, "score", turn)
    _command(step, "rate", score=score)
    return _ask(step, "reason", turn) if one else _ended(step)


def _chosen(step: Step, turn: Turn) -> Step:
    known = [one for one in turn.complaints if one["reference"] in step.state.options]
    one = subject.named(turn, known, subject.HINT_OF_TOPIC)
    if one is None:
        return _failed(step, turn)
    step.state = replace(step.state, reference=one["reference"], question=None, failures=0)
    bare = replace(turn, text="", payload=turn.payload or "pick")  # "第二个" is a choice, not a story to add
    return _proceed(step, bare, one)


def _told_more(step: Step, turn: Turn) -> Step:
    if turn.means("skip") or turn.means("deny") or turn.means("thanks"):
        return _ended(step, "filed.all_right")
    if not turn.has_words and not turn.attachments:
        return _failed(step, turn)
    _command(step, "add_information", text=masked(turn.text))
    return _ended(step)


def _confirmed(step: Step, turn: Turn) -> Step:
    if turn.means("affirm") or turn.means("withdraw"):
        _command(step, "withdraw")
        return _ended(step)
    if turn.means("deny"):
        return _ended(step, "filed.kept")
    return _failed(step, turn)


def _scored(step: Step, turn: Turn) -> Step:
    score = scores.read(turn)
    if score is not None:
        _command(step, "rate", score=score)
        return _ask(step, "reason", turn)
    if turn.means("skip") or turn.means("deny"):
        return _ended(step, "filed.all_right")
    return _failed(step, turn)


def _explained(step: Step, turn: Turn) -> Step:
    kind, _, label = (turn.payload or "").partition(":")
    if turn.means("skip") or turn.means("deny"):
        return _ended(step, "filed.all_right")
    if kind == "reason":
        _command(step, "explain_rating", label=label)
    elif turn.has_words:
        _command(step, "explain_rating", text=masked(turn.text[:500]))
    else:
        return _failed(step, turn)
    return _ended(step)


def _wants_else(state: Filed, turn: Turn) -> bool:
    """Whether another wish comes in the middle of this one."""
    wish = WISHES.get(turn.intent)
    if wish is None or wish == state.wish or turn.intent == "evidence" or turn.payload in ("affirm", "deny", "skip"):
        return False
    tapped = bool(turn.payload) and (turn.payload or "").partition(":")[0] not in ("pick", "score", "reason")
    surely = turn.is_short and turn.confidence >= 0.6 and not (state.question == "score" and scores.read(turn))
    return tapped or (surely and state.question not in ("more", "reason"))


def _digresses(state: Filed, turn: Turn) -> bool:
    """Another topic; where any words can be the answer only a sure and short one, or a new complaint told at length."""
    own = (*WISHES, "choose", "affirm", "deny", "skip", "correct", "nlu_fallback", "thanks")
    if turn.intent in own and turn.payload != "complain":
        return False
    if state.question == "score" and scores.read(turn) is not None:
        return False
    if state.question in ("more", "reason"):
        return turn.payload == "complain" or (turn.is_short and turn.confidence >= 0.9)
    return turn.confidence >= 0.45


def _command(step: Step, name: str, **args: Any) -> None:
    step.answer.command(name, reference=step.state.reference, receipt_code=step.state.code, **args)


def _ended(step: Step, key: str = "") -> Step:
    if key:
        step.answer.say(key)
    step.state = replace(step.state, question=None)
    return step


def _failed(step: Step, turn: Turn) -> Step:
    """Once explained; then what is optional is let go, and for the rest a person comes."""
    if step.state.failures == 0:
        step.state = replace(step.state, failures=1)
        step.answer.say("filed.again")
        return _ask(step, step.state.question or "which", turn)
    if step.state.question in OPTIONAL:
        return _ended(step, "filed.all_right")
    step.answer.say("handoff.form_failure")
    step.answer.command("call_agent", reason="form_failure")
    return _ended(step)


def _ask(step: Step, question: str, turn: Turn, one: Known | None = None) -> Step:
    if step.state.question != question:
        step.state = replace(step.state, question=question, failures=0)
    if question == "which":
        known = [each for each in turn.complaints if each["reference"] in step.state.options]
        step.answer.say(f"which.{step.state.wish}", question, subject.choices(known))
        return step
    about = one or next((each for each in turn.complaints if each["reference"] == step.state.reference), None)
    args = {"reference": step.state.reference, "category": (about or {}).get("category", "")}
    key = "ask.still" if question == "more" and step.state.wish == "reopen" else f"ask.{question}"
    step.answer.say(key, question, BUTTONS[question], **(args if question == "withdraw" else {}))
    return step


BUTTONS: dict[str, list[str | Button]] = {
    "more": ["skip"],
    "withdraw": [button("affirm", "button.withdraw_yes"), button("deny", "button.withdraw_no")],
    "score": [*(button(f"score:{score}", f"button.score_{score}") for score in (1, 2, 3, 4, 5)), "skip"],
    "reason": [
        *(button(f"reason:{label}", f"button.reason_{label}") for label in ("result", "speed", "attitude", "clarity")),
        "skip",
    ],
}
_BEGUN: dict[str, Callable[[Step, Turn, Known | None], Step]] = {
    "add": _add,
    "urge": _at_once,
    "withdraw": _withdraw,
    "reopen": _reopen,
    "solved": _at_once,
    "rate": _rate,
}
_ANSWERED: dict[str, Callable[[Step, Turn], Step]] = {
    "which": _chosen,
    "more": _told_more,
    "withdraw": _confirmed,
    "score": _scored,
    "reason": _explained,
}


def told(turn: Turn) -> str:
    """What a wish tells beyond itself: "没解决，晚上还是断" adds that it still drops; "没解决" adds nothing."""
    rest = _MERE_WISH.sub("", turn.text)
    return masked(turn.text) if has_content(rest) else ""
