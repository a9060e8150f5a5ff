"""Requests about one's personal data: which right it is, one question before it is registered."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from actions.turn import Answer, Button, Turn, button, masked

KINDS = ("see", "correct", "delete", "export", "consent")
# The rights of PIPL arts. 44 to 47 and 15, by the words in which people ask for them; the first that fits.
_WORDS = (
    ("consent", r"撤回|撤销|取消授权|不同意|授权|个性化|withdraw|consent|profiling|stop using"),
    ("delete", r"删除|删掉|删了|清除|注销|抹掉|delete|erase|remove|forget"),
    ("export", r"导出|下载|副本|复制|转移|export|copy|download|transfer"),
    ("correct", r"更正|改正|修改|不对|错了|过期|correct|change|wrong|update"),
    ("see", r"查|看|收集了|哪些|清单|给了谁|see|what data|which data|access|hold about"),
)
_PATTERNS = tuple((kind, re.compile(words, re.IGNORECASE)) for kind, words in _WORDS)


@dataclass
class Step:
    """Result of a turn; `question` None ends it."""

    question: str | None
    request: str | None = None
    words: str = ""
    answer: Answer = field(default_factory=Answer)
    digressed: bool = False


def begin(turn: Turn) -> Step:
    kind = _kind(turn)
    return _ask(Step("request_yes" if kind else "request", kind, masked(turn.text[:500])))


def advance(question: str, request: str | None, words: str, turn: Turn) -> Step:
    """`request` and `words` are what the first turn said."""
    step = Step(question, request, words)
    if turn.means("cancel") or turn.means("deny"):
        return _ended(step, "filed.left")
    if turn.payload == "human" or turn.means("ask_human"):
        step.answer.command("call_agent", reason="wish")
        return _ended(step)
    if question == "request_yes":
        return _confirmed(step, turn)
    step.request = _kind(turn)
    if step.request is None:
        step.digressed = True
        return step
    step.question = "request_yes"
    return _ask(step)


def ask_again(question: str, request: str | None, words: str) -> Step:
    return _ask(Step(question, request, words))


def _confirmed(step: Step, turn: Turn) -> Step:
    if not turn.means("affirm"):
        step.digressed = True
        return step
    step.answer.command("request_privacy", request=step.request, text=step.words)
    return _ended(step)


def _kind(turn: Turn) -> str | None:
    tapped, _, kind = (turn.payload or "").partition(":")
    if tapped == "request":
        return kind if kind in KINDS else None
    return next((kind for kind, pattern in _PATTERNS if pattern.search(turn.text)), None)


def _ended(step: Step, key: str = "") -> Step:
    if key:
        step.answer.say(key)
    step.question = None
    return step


def _ask(step: Step) -> Step:
    if step.question == "request":
        shown: list[str | Button] = [button(f"request:{kind}", f"request.{kind}") for kind in KINDS]
        step.answer.say("ask.request", step.question, [*shown, "cancel"])
    else:
        shown = [button("affirm", "button.request_yes"), "cancel"]
        step.answer.say("ask.request_yes", step.question, shown, request=step.request)
    return step
