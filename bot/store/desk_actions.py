"""What a desk is still to be told: comments and changes of state, one after the other per complaint."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    exists,
    or_,
    select,
    update,
)

from bot.store.schema import Id, UtcTime, db_now, metadata
from bot.store.sql import inserted_id, locked
from bot.store.tickets import ticket

WANTED, DOING, DONE, UNCERTAIN, REFUSED = "wanted", "doing", "done", "uncertain", "refused"

desk_action = Table(
    "desk_action",
    metadata,
    Column("id", Id, primary_key=True),
    Column("complaint_id", Id, ForeignKey("complaint.id"), nullable=False),
    Column("key", String(64), nullable=False, unique=True),  # what wanted it; goes to the desk with a comment
    Column("kind", String(16), nullable=False),  # comment, state
    Column("to_state", String(16), nullable=False),  # kind state: the one wanted
    Column("text_key", String(64), nullable=False),  # what the desk reads
    Column("args", JSON, nullable=False),
    Column("state", String(16), nullable=False),  # wanted, doing, done, uncertain, refused
    Column("reason", String(64), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", UtcTime),  # when to try next; null: nothing more to do
    Column("lease_until", UtcTime),
    Column("created_at", UtcTime, nullable=False),
    Index("ix_desk_action_complaint", "complaint_id", "id"),
    Index("ix_desk_action_due", "due_at"),
)


@dataclass(frozen=True)
class DeskAction:
    """One thing to be done at the desk."""

    id: int
    complaint_id: int
    key: str
    kind: str
    to_state: str
    text_key: str
    args: Mapping[str, Any]
    state: str
    reason: str
    attempts: int


_COLUMNS = [desk_action.c[name] for name in DeskAction.__dataclass_fields__]


def want(
    db: Connection, complaint_id: int, key: str, text_key: str, args: Mapping[str, Any], *, to_state: str = ""
) -> bool:
    """Asks for a comment, or for a change of state with a comment's text; False when this key has asked before."""
    made = inserted_id(
        db,
        desk_action,
        complaint_id=complaint_id,
        key=key[:64],
        kind="state" if to_state else "comment",
        to_state=to_state,
        text_key=text_key,
        args=dict(args),
        state=WANTED,
        reason="",
        attempts=0,
        due_at=db_now(),
        created_at=db_now(),
    )
    return made is not None


def due(db: Connection, clock: datetime) -> DeskAction | None:
    """The action that is due, locked: its ticket is open, and nothing wanted earlier for the complaint is undone."""
    mine, earlier = desk_action.c, desk_action.alias("earlier").c
    waits = exists().where(earlier.complaint_id == mine.complaint_id, earlier.id < mine.id, earlier.due_at.is_not(None))
    row = db.execute(
        locked(
            select(*_COLUMNS)
            .join(ticket, ticket.c.complaint_id == mine.complaint_id)
            .where(
                ticket.c.state == "open",
                mine.due_at <= clock,
                or_(mine.lease_until.is_(None), mine.lease_until < clock),
                ~waits,
            )
            .order_by(mine.due_at, mine.id)
            .limit(1),
            skip=True,
        )
    ).first()
    return DeskAction(**row._mapping) if row else None


def change(db: Connection, action_id: int, **values: Any) -> None:
    db.execute(update(desk_action).where(desk_action.c.id == action_id).values(**values))


def of_complaint(db: Connection, complaint_id: int) -> list[DeskAction]:
    """In the order in which they were wanted."""
    rows = db.execute(select(*_COLUMNS).where(desk_action.c.complaint_id == complaint_id).order_by(desk_action.c.id))
    return [DeskAction(**row._mapping) for row in rows]


def state_wanted(db: Connection, complaint_id: int) -> str:
    """The state that the customer has asked for and the desk has not confirmed yet; empty when there is none."""
    found = db.scalar(
        select(desk_action.c.to_state)
        .where(
            desk_action.c.complaint_id == complaint_id,
            desk_action.c.kind == "state",
            desk_action.c.due_at.is_not(None),
        )
        .order_by(desk_action.c.id.desc())
        .limit(1)
    )
    return str(found or "")
