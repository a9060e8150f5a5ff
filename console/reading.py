"""Reads everything that the page of one conversation shows, in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from bot.conversation import LEADING
from bot.filetypes import ending
from bot.store import complaints, conversations, facts, inbox, outbox
from bot.store.complaints import Complaint, Promise
from bot.store.conversations import Conversation, episode
from bot.store.users import User, app_user
from bot.transcript import Line, transcript
from console.page import product
from console.rows import Row, gather

# The slots that people read, in reading order. Others are the dialogue's own business.
SLOTS = ("category", "number", "what", "when", "place", "amount", "remedy", "request", "added")


@dataclass(frozen=True)
class Move:
    """From here on someone else answered: state, and the agent's name where it is one."""

    key: str
    at: datetime
    to: str
    owner: str
    reason: str


@dataclass(frozen=True)
class Chat:
    """A conversation as it is now. `sequence` and `epoch` go back with every action on it."""

    conversation: Conversation
    row: Row
    timeline: list[Line | Move]
    complaints: list[Complaint]
    promises: list[Promise]
    slots: list[tuple[str, str]]
    since: datetime
    handoff_reason: str
    held: int
    mine: bool
    takeable: bool
    decides: bool  # about messages that did not arrive
    fact: int

    @property
    def sequence(self) -> int:
        return self.conversation.next_sequence - 1

    @property
    def epoch(self) -> int:
        return self.conversation.epoch


@dataclass(frozen=True)
class File:
    """An attachment that we have."""

    name: str
    content: bytes


def read(db: Connection, conversation_id: int, user: User) -> Chat | None:
    """None for an unknown id. The conversation is read before its messages: a page may show more than its
    `sequence` covers, never less."""
    fact = facts.newest(db)
    found = conversations.read(db, conversation_id)
    if found is None:
        return None
    (row,) = gather(db, product().seal, [found])
    moves = _moves(db, conversation_id)
    mine = found.state == "agent" and found.owner_id == user.id
    return Chat(
        conversation=found,
        row=row,
        timeline=_timeline(transcript(db, product().texts, conversation_id, hide_codes=True), moves),
        complaints=complaints.of_conversation(db, conversation_id),
        promises=complaints.open_promises(db, "callback", conversation_id),
        slots=_slots(found.dialogue),
        since=moves[-1].at if moves else found.created_at,
        handoff_reason=next((move.reason for move in reversed(moves) if move.to == "queued"), ""),
        held=len([held for held in outbox.in_state(db, conversation_id, "held") if held.reason == "agent"]),
        mine=mine,
        takeable=not mine and (found.state != "agent" or user.role in LEADING),
        decides=mine or user.role in LEADING,
        fact=fact,
    )


def file_of(conversation_id: int, attachment_id: int) -> File | None:
    """The attachment's bytes; None when there is none of this number in this conversation, or not yet."""
    with product().database.read() as db:
        found = inbox.stored_file(db, conversation_id, attachment_id)
    stored = product().blobs.get(found.blob_id) if found and found.blob_id is not None else None
    if found is None or stored is None:
        return None
    return File(f"{found.kind}-{found.id}{ending(stored[1])}", stored[0])  # what it is, not what it was called


def _moves(db: Connection, conversation_id: int) -> list[Move]:
    """Oldest first."""
    rows = db.execute(
        select(episode, app_user.c.name)
        .outerjoin(app_user, app_user.c.id == episode.c.owner_id)
        .where(episode.c.conversation_id == conversation_id)
        .order_by(episode.c.id)
    )
    return [Move(f"move:{row.id}", row.started_at, row.state, row.name or "", row.reason) for row in rows]


def _timeline(lines: Sequence[Line], moves: Sequence[Move]) -> list[Line | Move]:
    """In time order; a message that caused a move stands before it, what followed behind."""

    def place(item: Line | Move) -> tuple[datetime, int]:
        if isinstance(item, Move):
            return item.at, 1
        return item.at, 0 if item.side == "customer" else 2

    return sorted([*lines, *moves], key=place)


def told(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was gathered for a complaint: (slot, value as text), in reading order."""
    spoken = ((name, _spoken(fields.get(name))) for name in SLOTS)
    return [(name, value) for name, value in spoken if value]


def _slots(dialogue: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Of the complaint that is being told now."""
    slots = dialogue.get("slots")
    return told(slots) if isinstance(slots, Mapping) else []


def _spoken(value: object) -> str:
    if isinstance(value, Mapping) and "text" in value:  # a time or an amount: the customer's own words for it
        return _spoken(value["text"])
    if isinstance(value, Mapping):
        return " · ".join(filter(None, map(_spoken, value.values())))
    if isinstance(value, list | tuple):
        return "、".join(filter(None, map(_spoken, value)))
    return "" if value is None or isinstance(value, bool) else str(value)
