"""Complaints, what they were made of, and what we promised about them."""

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
    select,
    update,
)

from bot.store.schema import Id, UtcTime, db_now, metadata
from bot.store.sql import inserted_id, locked

complaint = Table(
    "complaint",
    metadata,
    Column("id", Id, primary_key=True),
    Column("reference", String(16), nullable=False, unique=True),
    Column("receipt_code_hash", String(64), nullable=False),
    Column("identity_id", Id, ForeignKey("identity.id"), nullable=False, index=True),
    Column("person_id", Id, ForeignKey("person.id")),
    Column("turn_id", Id, ForeignKey("turn.id"), unique=True),  # filed once per turn
    Column("category", String(64), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("fields", JSON, nullable=False),
    Column("language", String(2), nullable=False),
    Column("state", String(16), nullable=False),
    Column("state_at", UtcTime, nullable=False),  # as of when the state is known
    Column("tier", Integer, nullable=False),
    Column("responsible", String(64), nullable=False),
    Column("complete", Integer, nullable=False),  # 0: filed as it was, a person must ask for the rest
    Column("received_at", UtcTime, nullable=False),  # of the earliest message that belongs to it
    Column("due_at", UtcTime, nullable=False),  # statutory
    Column("filed_at", UtcTime, nullable=False),
    Column("parent_id", Id, ForeignKey("complaint.id")),
    Column("merged_into_id", Id, ForeignKey("complaint.id")),
    Index("ix_complaint_state", "state", "filed_at"),
)

# Which messages a complaint was made of.
complaint_link = Table(
    "complaint_link",
    metadata,
    Column("id", Id, primary_key=True),
    Column("complaint_id", Id, ForeignKey("complaint.id"), nullable=False, index=True),
    Column("conversation_id", Id, ForeignKey("conversation.id"), nullable=False, index=True),
    Column("first_sequence", Integer, nullable=False),
    Column("last_sequence", Integer, nullable=False),
)

# Everything dated that we told a customer.
promise = Table(
    "promise",
    metadata,
    Column("id", Id, primary_key=True),
    Column("conversation_id", Id, ForeignKey("conversation.id"), nullable=False, index=True),
    Column("complaint_id", Id, ForeignKey("complaint.id")),
    Column("kind", String(32), nullable=False),  # callback, statutory
    Column("due_at", UtcTime, nullable=False),
    Column("made_at", UtcTime, nullable=False),
    Column("kept_at", UtcTime),
    Index("ix_promise_open", "kind", "kept_at", "due_at"),
)


@dataclass(frozen=True)
class Complaint:
    """A filed complaint."""

    id: int
    reference: str
    receipt_code_hash: str
    identity_id: int
    category: str
    severity: str
    fields: Mapping[str, Any]
    language: str
    state: str
    state_at: datetime
    complete: int
    received_at: datetime
    due_at: datetime
    filed_at: datetime


@dataclass(frozen=True)
class Promise:
    """Something dated that a customer was told."""

    id: int
    conversation_id: int
    complaint_id: int | None
    kind: str
    due_at: datetime
    kept_at: datetime | None


_COLUMNS = [complaint.c[name] for name in Complaint.__dataclass_fields__]
_PROMISE = [promise.c[name] for name in Promise.__dataclass_fields__]


def _row(row: Any) -> Complaint:
    return Complaint(**row._mapping)


def add(db: Connection, **values: Any) -> int | None:
    """The new complaint's id; None when the reference or the turn is taken."""
    return inserted_id(db, complaint, tier=1, responsible="", filed_at=db_now(), state_at=db_now(), **values)


def link(db: Connection, complaint_id: int, conversation_id: int, first: int, last: int) -> None:
    inserted_id(
        db,
        complaint_link,
        complaint_id=complaint_id,
        conversation_id=conversation_id,
        first_sequence=first,
        last_sequence=last,
    )


def read(db: Connection, complaint_id: int) -> Complaint:
    return _row(db.execute(select(*_COLUMNS).where(complaint.c.id == complaint_id)).one())


def lock(db: Connection, complaint_id: int) -> Complaint:
    return _row(db.execute(locked(select(*_COLUMNS).where(complaint.c.id == complaint_id))).one())


def by_reference(db: Connection, reference: str) -> Complaint | None:
    row = db.execute(select(*_COLUMNS).where(complaint.c.reference == reference)).first()
    return _row(row) if row else None


def of_turn(db: Connection, turn_id: int) -> Complaint | None:
    row = db.execute(select(*_COLUMNS).where(complaint.c.turn_id == turn_id)).first()
    return _row(row) if row else None


def of_identity(db: Connection, identity_id: int) -> list[Complaint]:
    """The newest first."""
    rows = db.execute(select(*_COLUMNS).where(complaint.c.identity_id == identity_id).order_by(complaint.c.id.desc()))
    return [_row(row) for row in rows]


def of_conversation(db: Connection, conversation_id: int) -> list[Complaint]:
    """The newest first."""
    linked = select(complaint_link.c.complaint_id).where(complaint_link.c.conversation_id == conversation_id)
    rows = db.execute(select(*_COLUMNS).where(complaint.c.id.in_(linked)).order_by(complaint.c.id.desc()))
    return [_row(row) for row in rows]


def conversation_of(db: Connection, complaint_id: int) -> int | None:
    """The conversation that a complaint came from."""
    found = db.scalar(
        select(complaint_link.c.conversation_id)
        .where(complaint_link.c.complaint_id == complaint_id)
        .order_by(complaint_link.c.id)
        .limit(1)
    )
    return None if found is None else int(found)


def change(db: Connection, complaint_id: int, **values: Any) -> None:
    db.execute(update(complaint).where(complaint.c.id == complaint_id).values(**values))


def promised(db: Connection, conversation_id: int, kind: str, due_at: datetime, complaint_id: int | None = None) -> int:
    found = inserted_id(
        db,
        promise,
        conversation_id=conversation_id,
        complaint_id=complaint_id,
        kind=kind,
        due_at=due_at,
        made_at=db_now(),
    )
    assert found is not None  # noqa: S101 - a promise has no unique key but its id
    return found


def open_promises(db: Connection, kind: str, conversation_id: int | None = None) -> list[Promise]:
    """Promises not kept yet, the earliest due first."""
    statement = select(*_PROMISE).where(promise.c.kind == kind, promise.c.kept_at.is_(None))
    if conversation_id is not None:
        statement = statement.where(promise.c.conversation_id == conversation_id)
    return [Promise(**row._mapping) for row in db.execute(statement.order_by(promise.c.due_at))]


def kept(db: Connection, conversation_id: int, kind: str) -> None:
    db.execute(
        update(promise)
        .where(promise.c.conversation_id == conversation_id, promise.c.kind == kind, promise.c.kept_at.is_(None))
        .values(kept_at=db_now())
    )
