"""Which of the customer's filed complaints is meant: by reference, by place in the list, by what it is about."""

from __future__ import annotations

import re
from typing import Any

from actions.turn import Button, Turn, button

Known = dict[str, Any]
"""A complaint as the product tells it: reference, category, state, day, received_at, due_at, rated."""

SOLVED = ("resolved", "closed")
OVER = ("closed", "rejected", "cancelled")
# Of which states a wish can be; where none fits, the newest complaint is taken, and its state is told.
_FITTING = {
    "add": ("acknowledged", "inProgress", "pending", "held", "resolved"),
    "urge": ("acknowledged", "inProgress", "pending", "held"),
    "withdraw": ("acknowledged", "inProgress", "pending", "held", "resolved"),
    "reopen": ("resolved", "closed", "rejected"),
    "solved": ("acknowledged", "inProgress", "pending", "held", "resolved", "closed"),
    "rate": SOLVED,
}
_CLEAR_TOPIC = 0.25
HINT_OF_TOPIC = 0.03
_ORDINAL = re.compile(r"(?:第|选)?([一二三四五12345])(?:个|件|条|项)?(?:吧|那个|投诉)?[。.!！]?")
_ORDINAL_EN = {"first": 0, "second": 1, "third": 2, "fourth": 3, "fifth": 4}


def candidates(wish: str, turn: Turn) -> list[Known]:
    """The complaints that the wish can be about, the newest first; those that have a score already need no second."""
    fitting = [one for one in turn.complaints if one["state"] in _FITTING[wish]]
    if wish == "reopen" and not fitting:
        fitting = [one for one in turn.complaints if one["state"] not in OVER]
    if wish == "rate":
        fitting = [one for one in fitting if not one["rated"]] or fitting
    if wish in ("reopen", "solved") and any(one["state"] == "resolved" for one in fitting):
        fitting = [one for one in fitting if one["state"] == "resolved"]
    return fitting or list(turn.complaints[:1])


def named(turn: Turn, known: list[Known], at_least: float = _CLEAR_TOPIC) -> Known | None:
    """The one among `known` that the turn names: by a reference, a tap, a place in the list or its topic.

    `at_least` says how sure the model must be of the topic; less where the customer was asked for it.
    """
    reference = turn.first("reference") or _tapped(turn)
    if reference:
        return next((one for one in known if one["reference"] == reference), None)
    place = _place(turn.text)
    if place is not None:
        return known[place] if place < len(known) else None
    for row in turn.categories:
        if row["category"] != "none" and row["confidence"] >= at_least:
            about = _about(str(row["category"]), known)
            if about:
                return about
    return None


def _about(leaf: str, known: list[Known]) -> Known | None:
    """The only one of this leaf, else the only one of its top category."""
    same = [one for one in known if one["category"] == leaf]
    near = [one for one in known if str(one["category"]).partition(".")[0] == leaf.partition(".")[0]]
    return next((found[0] for found in (same, near) if len(found) == 1), None)


def choices(known: list[Known]) -> list[Button]:
    """One button per complaint: what it is about and since when."""
    return [
        button(f"pick:{one['reference']}", "choice.complaint", category=one["category"], since_at=one["received_at"])
        for one in known
    ]


def _tapped(turn: Turn) -> str | None:
    return (turn.payload or "").partition(":")[2] or None


def _place(text: str) -> int | None:
    found = _ORDINAL.fullmatch(text.strip())
    if found:
        return "一二三四五".find(found[1]) if found[1] in "一二三四五" else int(found[1]) - 1
    word = re.search(r"\b(first|second|third|fourth|fifth)\b", text.lower())
    return _ORDINAL_EN[word[1]] if word and len(text.split()) <= 4 else None
