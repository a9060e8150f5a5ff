"""The complaint that is still being told: where it began, and what of it can be filed as it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.required import missing
from bot.store.conversations import Conversation
from bot.store.turns import TurnRow

FORM = "complaint_form"  # the dialogue's name for taking a complaint
UNKNOWN_CATEGORY = "other.other"


@dataclass(frozen=True)
class Draft:
    """What is known when a complaint is filed. `fields` has what, number, when, place, amount, remedy."""

    category: str
    fields: Mapping[str, Any]
    first_sequence: int
    last_sequence: int
    received_at: datetime
    complete: bool
    severity: str = ""  # empty: by category
    parent_id: int | None = None


def start(current: Conversation, turn: TurnRow) -> tuple[int, datetime]:
    """First message of what is being told, and when it came: the statutory clock runs from there."""
    begun = current.dialogue.get("draft")
    if not begun:
        return turn.first_sequence, turn.received_at
    return int(begun["sequence"]), datetime.fromisoformat(begun["at"])


def begun_at(sequence: int, received_at: datetime) -> dict[str, Any]:
    """The mark that `start` reads, for the dialogue's state."""
    return {"sequence": sequence, "at": received_at.isoformat()}


def unfinished(current: Conversation) -> Draft | None:
    """What an interrupted form has gathered, as it is; None when that is nothing, or filed already."""
    state = current.dialogue
    slots, begun = dict(state.get("slots") or {}), state.get("draft")
    if state.get("active_form") != FORM or not slots.get("what") or not begun or begun.get("complaint"):
        return None
    category = str(slots.get("category") or UNKNOWN_CATEGORY)
    return Draft(
        category=category,
        fields={name: slots.get(name) for name in ("what", "number", "when", "place", "amount", "remedy")},
        first_sequence=int(begun["sequence"]),
        last_sequence=current.next_sequence - 1,
        received_at=datetime.fromisoformat(begun["at"]),
        complete=not missing(category, slots),
    )


def filed_as(current: Conversation) -> int | None:
    """The complaint that the present draft was filed as when a person was called in the middle of it."""
    begun = current.dialogue.get("draft") or {}
    found = begun.get("complaint")
    return int(found) if found else None


def with_complaint(dialogue: Mapping[str, Any], complaint_id: int) -> dict[str, Any]:
    """The same dialogue state, which knows that its draft is filed: going on with it completes that complaint."""
    return {**dialogue, "draft": {**dialogue["draft"], "complaint": complaint_id}}
