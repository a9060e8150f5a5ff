"""Turns: the messages that are answered together, fixed before Rasa is asked."""

from collections.abc import Mapping
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

from bot.store.schema import Id, UtcTime, db_now, letter_index, metadata

LETTER = "state = 'dead' AND discarded_at IS NULL"

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
    Column("starts", Integer, nullable=False, default=0),  # counted before the work: a worker's death counts, too
    Column("reason", String(64), nullable=False),
    Column("intent", String(64), nullable=False),
    Column("finished_at", UtcTime),
    Column("discarded_at", UtcTime),  # a person let a dead one go
    UniqueConstraint("conversation_id", "epoch", "first_sequence"),
    letter_index("turn", LETTER),
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
    starts: int


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


# What a dead turn is set to when it is to be answered once more.
AFRESH: Mapping[str, Any] = {"state": "open", "starts": 0, "attempts": 0, "reason": "", "finished_at": None}


def count_start(db: Connection, turn_id: int, by: int = 1) -> None:
    """Counts that somebody begins with it; -1 takes it back when it was not the turn that failed."""
    db.execute(update(turn).where(turn.c.id == turn_id).values(starts=turn.c.starts + by))


def suspected(db: Connection, conversation_id: int) -> bool:
    """Whether somebody began with the open turn and has not come back."""
    unfinished = select(turn.c.id).where(
        turn.c.conversation_id == conversation_id, turn.c.state == "open", turn.c.starts > turn.c.attempts
    )
    return db.scalar(unfinished.limit(1)) is not None


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
