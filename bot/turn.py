"""A turn: which messages are answered together, fixed in SQL before Rasa is asked."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from bot import choices, facts, outbox
from bot.message import Kind
from bot.replies import OFFERS
from bot.store import conversations, turns
from bot.store import inbox as store
from bot.store import outbox as outbox_store
from bot.store.conversations import Conversation
from bot.store.inbox import InboxRow
from bot.store.turns import TurnRow

DOWNLOAD_AGAIN = timedelta(seconds=5)
BURST = timedelta(seconds=3)  # messages closer together than this are one thought
LATE = timedelta(seconds=10)  # who has waited so long and wrote again did so without an answer: it is one thought too
MOST_MESSAGES = 20  # in one turn
MOST_WORDS = 4_000  # characters in one turn, unless a single message is longer


def fix_next(db: Connection, current: Conversation) -> TurnRow | None:
    """Fixes the next turn of a conversation that the bot answers; None when nobody waits.

    Taps on anything but the open question are answered here, without Rasa, and never become a turn.
    """
    while rows := store.open_rows(db, current.id, limit=MOST_MESSAGES):
        if rows[0].kind != Kind.TAP:
            burst = _together(rows, conversations.now(db))
            choice = _choice_by_number(current, burst)
            return _fix(db, current, burst, text=None, payload=choice) if choice else _fix_words(db, current, burst)
        payload = meaning_of_tap(db, current, rows[0].payload)
        if payload is not None:
            return _fix(db, current, rows[:1], text=None, payload=payload)
        _answer_stale(db, current, rows[0])
    return None


def _together(rows: Sequence[InboxRow], clock: datetime) -> Sequence[InboxRow]:
    """The first message and what followed it at once; when we are late, everything that waits, up to a bound."""
    late = clock - rows[0].received_at > LATE
    taken, words = [rows[0]], len(rows[0].text)
    for row in rows[1:]:
        words += len(row.text)
        apart = row.received_at - taken[-1].received_at > BURST
        if row.kind == Kind.TAP or (apart and not late) or words > MOST_WORDS:
            break
        taken.append(row)
    return taken


def _choice_by_number(current: Conversation, rows: Sequence[InboxRow]) -> str | None:
    """The payload of a button that was shown as a number and is typed as one."""
    asked = current.question or {}
    if len(rows) != 1 or not dict(asked.get("args") or {}).get("numbered"):
        return None
    return choices.chosen(rows[0].text, asked.get("buttons") or ())


def _fix_words(db: Connection, current: Conversation, rows: Sequence[InboxRow]) -> TurnRow:
    return _fix(db, current, rows, text="\n".join(row.text for row in rows if row.text.strip()), payload=None)


def _fix(
    db: Connection, current: Conversation, rows: Sequence[InboxRow], *, text: str | None, payload: str | None
) -> TurnRow:
    files = [f for f in store.attachments(db, current.id) if f.inbox_id in {row.id for row in rows}]
    return turns.fix(
        db,
        conversation_id=current.id,
        epoch=current.epoch,
        first_sequence=rows[0].sequence,
        last_sequence=rows[-1].sequence,
        text=text,
        payload=payload,
        attachments=len(files),
        language=current.language,
        received_at=rows[0].received_at,
    )


def meaning_of_tap(db: Connection, current: Conversation, wire: str) -> str | None:
    """The payload behind a tap on the open question; None for any other button, or none at all."""
    row_id, _, index = wire.partition(".")
    if not (row_id.isascii() and row_id.isdigit() and index.isascii() and index.isdigit()):
        return None
    row = outbox_store.read(db, int(row_id)) if len(row_id) < 18 else None
    if row is None or row.conversation_id != current.id or len(index) > 3 or int(index) >= len(row.buttons):
        return None
    payload = str(row.buttons[int(index)]["payload"])
    if not row.question:
        return payload if payload.partition(":")[0] in OFFERS else None
    asked = current.question
    return payload if asked is not None and asked["open_id"] == row.question else None


def _answer_stale(db: Connection, current: Conversation, tap: InboxRow) -> None:
    store.place(db, tap.id, disposition=store.STALE_TAP)
    outbox.courtesy(db, current, f"stale:{tap.id}", "stale", "system.stale_tap")
    outbox.repeat_question(db, current, f"stale:{tap.id}")
    facts.record(db, "tap.stale", actor="customer", conversation_id=current.id, sequence=tap.sequence)


def open_question(turn_id: int, replies: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The last reply that is a question, with the id that its buttons carry; None when nothing is asked."""
    for reply in reversed(replies):
        if reply.get("question"):
            return {**reply, "open_id": f"{turn_id}:{reply['question']}"[:64]}
    return None


def finish_stale(db: Connection, turn: TurnRow) -> None:
    """The conversation has moved: the turn's words stay open, for the agent or for a later turn."""
    if turns.finish(db, turn.id, "stale", reason="moved"):
        facts.record(db, "turn.stale", conversation_id=turn.conversation_id, turn=turn.id)


def due_again(db: Connection, current: Conversation) -> datetime | None:
    """When this conversation needs a worker again, from what is open; None for not at all."""
    if current.state == "bot" and store.open_rows(db, current.id, limit=1):
        return conversations.now(db)
    if store.pending_attachments(db, current.id):
        return conversations.now(db) + DOWNLOAD_AGAIN
    return None
