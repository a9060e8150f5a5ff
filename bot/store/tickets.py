"""Tickets: the request to open one at the desk, what the desk answered, and the local desk's own tables."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    or_,
    select,
    text,
    update,
)

from bot.store.schema import Id, UtcTime, db_now, letter_index, metadata
from bot.store.sql import inserted_id, locked

LETTER = "state IN ('dead', 'uncertain', 'refused') AND due_at IS NULL AND discarded_at IS NULL"
CHANGE_LETTER = "reason <> '' AND discarded_at IS NULL"
UNOPENED = (
    "state IN ('wanted', 'opening', 'uncertain', 'refused', 'dead')"  # of the index; questions say the same words
)

# One per complaint. state: wanted, opening, open, uncertain, refused, dead.
ticket = Table(
    "ticket",
    metadata,
    Column("id", Id, primary_key=True),
    Column("complaint_id", Id, ForeignKey("complaint.id"), nullable=False, unique=True),
    Column("desk", String(32), nullable=False),
    Column("ticket_id", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("looks", Integer, nullable=False, default=0),  # answered searches for what may have been opened
    Column("due_at", UtcTime),  # when to try next; null: nothing to do
    Column("lease_until", UtcTime),
    Column("created_at", UtcTime, nullable=False),
    Column("deaths", Integer, nullable=False, default=0),  # of processes that were opening it
    Column("stopped_at", UtcTime),  # when it was left to a person
    Column("discarded_at", UtcTime),  # a person let it go
    Index("ix_ticket_due", "due_at"),
    letter_index("ticket", LETTER),
    Index("ix_ticket_unopened", "state", sqlite_where=text(UNOPENED), postgresql_where=text(UNOPENED)),
)

# Desk changes that were taken over, once each.
desk_change = Table(
    "desk_change",
    metadata,
    Column("id", Id, primary_key=True),
    Column("desk", String(32), nullable=False),
    Column("change_id", String(128), nullable=False),
    Column("taken_at", UtcTime, nullable=False),
    Column("reference", String(16), nullable=False, default=""),
    Column("reason", String(64), nullable=False, default=""),  # why it could not be taken over
    Column("discarded_at", UtcTime),  # a person let it go
    Index("uq_desk_change", "desk", "change_id", unique=True),
    letter_index("desk_change", CHANGE_LETTER),
)

local_ticket = Table(
    "local_ticket",
    metadata,
    Column("id", Id, primary_key=True),
    Column("reference", String(16), nullable=False, unique=True),
    Column("category", String(64), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("summary", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)

local_entry = Table(
    "local_entry",
    metadata,
    Column("id", Id, primary_key=True),
    Column("local_ticket_id", Id, ForeignKey("local_ticket.id"), nullable=False, index=True),
    Column("state", String(16), nullable=False),
    Column("note", Text, nullable=False),
    Column("public", Boolean, nullable=False),
    Column("actor", String(32), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("key", String(64)),  # of a comment that was asked for; null for other entries
    Index("uq_local_entry_key", "key", unique=True),
)


@dataclass(frozen=True)
class TicketRow:
    """Our side of a ticket."""

    id: int
    complaint_id: int
    desk: str
    ticket_id: str
    state: str
    reason: str
    attempts: int
    deaths: int
    looks: int


_COLUMNS = [ticket.c[name] for name in TicketRow.__dataclass_fields__]


def want(db: Connection, complaint_id: int, desk: str) -> None:
    """Asks for a ticket; a second request for the same complaint changes nothing."""
    inserted_id(
        db,
        ticket,
        complaint_id=complaint_id,
        desk=desk,
        ticket_id="",
        state="wanted",
        reason="",
        attempts=0,
        due_at=db_now(),
        created_at=db_now(),
    )


def of_complaint(db: Connection, complaint_id: int) -> TicketRow | None:
    row = db.execute(select(*_COLUMNS).where(ticket.c.complaint_id == complaint_id)).first()
    return TicketRow(**row._mapping) if row else None


def due(db: Connection, clock: datetime) -> TicketRow | None:
    """The ticket that is due and that nobody works on, locked."""
    row = db.execute(
        locked(
            select(*_COLUMNS)
            .where(ticket.c.due_at <= clock, or_(ticket.c.lease_until.is_(None), ticket.c.lease_until < clock))
            .order_by(ticket.c.due_at)
            .limit(1),
            skip=True,
        )
    ).first()
    return TicketRow(**row._mapping) if row else None


def change(db: Connection, row_id: int, **values: Any) -> None:
    db.execute(update(ticket).where(ticket.c.id == row_id).values(**values))


def search_before_opening(db: Connection) -> int:
    """Tickets still to be opened count as tried once, so that the desk is searched first; gives how many."""
    done = db.execute(
        update(ticket)
        .where(text(UNOPENED), ticket.c.due_at.is_not(None), ticket.c.attempts == 0)
        .values(attempts=1, lease_until=None)
    )
    return int(done.rowcount)


def take_change(db: Connection, desk: str, change_id: str) -> bool:
    """False when this change was taken over before."""
    return inserted_id(db, desk_change, desk=desk, change_id=change_id, taken_at=db_now()) is not None


def set_aside(db: Connection, desk: str, change_id: str, reference: str, reason: str) -> None:
    """Notes a change that cannot be taken over; nothing when it was noted before."""
    values = {"desk": desk, "change_id": change_id, "reference": reference, "reason": reason}
    inserted_id(db, desk_change, **values, taken_at=db_now())


def local_open(db: Connection, **values: Any) -> bool:
    """False when the reference has its ticket already."""
    return inserted_id(db, local_ticket, created_at=db_now(), updated_at=db_now(), **values) is not None


def local_read(db: Connection, *, reference: str = "", ticket_id: int = 0) -> Any:
    """The local desk's row by reference or number, or None."""
    wanted = local_ticket.c.reference == reference if reference else local_ticket.c.id == ticket_id
    return db.execute(select(local_ticket).where(wanted)).first()


def local_write(
    db: Connection, local_ticket_id: int, *, state: str, note: str, public: bool, actor: str, key: str | None = None
) -> None:
    """One entry in a local ticket's history; the newest entry's state is the ticket's. The same key again is nothing."""
    written = inserted_id(
        db,
        local_entry,
        local_ticket_id=local_ticket_id,
        state=state,
        note=note,
        public=public,
        actor=actor,
        key=key,
        at=db_now(),
    )
    if written is None:
        return
    db.execute(
        update(local_ticket).where(local_ticket.c.id == local_ticket_id).values(state=state, updated_at=db_now())
    )


def local_entries(db: Connection, after: int, limit: int = 200) -> list[Any]:
    """Public entries with a higher number, each with its ticket's reference."""
    return list(
        db.execute(
            select(local_entry, local_ticket.c.reference)
            .join(local_ticket, local_ticket.c.id == local_entry.c.local_ticket_id)
            .where(local_entry.c.id > after, local_entry.c.public.is_(True))
            .order_by(local_entry.c.id)
            .limit(limit)
        )
    )
