"""Turns: the messages that are answered together, fixed before Rasa is asked."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    insert,
    select,
    text,
    update,
)

from bot.store.schema import Id, UtcTime, db_now, metadata

UNFINISHED = "state IN ('open', 'dead')"  # of the index; a question that uses it has to say the same words

turn = Table(
    "turn",
    metadata,
    Column("id", Id, primary_key=True),
    Column("conversation_id", Id, ForeignKey("conversation.id"), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("first_sequence", Integer, nullable=False),
    Column("last_sequence", Integer, nullable=False),
    Column("text", Text),  # text XOR payload
    Column("payload", String(64)),
    Column("attachments", Integer, nullable=False),
    Column("language", String(2), nullable=False),
    Column("received_at", UtcTime, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("state", String(16), nullable=False),  # open, done, stale, dead
    Column("attempts", Integer, nullable=False),  # answers of Rasa that were no result
    Column("reason", String(64), nullable=False),
    Column("intent", String(64), nullable=False),
    Column("finished_at", UtcTime),
    UniqueConstraint("conversation_id", "epoch", "first_sequence"),
    Index(
        "ix_turn_unfinished", "state", "created_at", sqlite_where=text(UNFINISHED), postgresql_where=text(UNFINISHED)
    ),
)


@dataclass(frozen=True)
class TurnRow:
    """A fixed turn: the same id and the same words however often Rasa is asked."""

    id: int
    conversation_id: int
    epoch: int
    first_sequence: int
    last_sequence: int
    text: str | None
    payload: str | None
    attachments: int
    language: str
    received_at: datetime
    created_at: datetime
    state: str
    attempts: int


_COLUMNS = [turn.c[name] for name in TurnRow.__dataclass_fields__]


def fix(db: Connection, **values: Any) -> TurnRow:
    done = db.execute(
        insert(turn).values(state="open", attempts=0, reason="", intent="", created_at=db_now(), **values)
    )
    key = done.inserted_primary_key
    assert key is not None  # noqa: S101 - an insert of one row has a key
    return TurnRow(**db.execute(select(*_COLUMNS).where(turn.c.id == key[0])).one()._mapping)


def open_turn(db: Connection, conversation_id: int) -> TurnRow | None:
    """The turn that was fixed and not finished, of whatever epoch."""
    row = db.execute(
        select(*_COLUMNS).where(turn.c.conversation_id == conversation_id, turn.c.state == "open").order_by(turn.c.id)
    ).first()
    return TurnRow(**row._mapping) if row else None


def count_failure(db: Connection, turn_id: int) -> int:
    """One more answer that was no result; gives how many now."""
    db.execute(update(turn).where(turn.c.id == turn_id).values(attempts=turn.c.attempts + 1))
    return int(db.scalar(select(turn.c.attempts).where(turn.c.id == turn_id)) or 0)


def finish(db: Connection, turn_id: int, state: str, *, reason: str = "", intent: str = "") -> bool:
    """False when the turn was finished before."""
    done = db.execute(
        update(turn)
        .where(turn.c.id == turn_id, turn.c.state == "open")
        .values(state=state, reason=reason, intent=intent, finished_at=db_now())
    )
    return done.rowcount == 1
