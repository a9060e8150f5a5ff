"""The append-only log of what happened, from which clocks and figures are computed. Never changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Index,
    Integer,
    String,
    Table,
    func,
    insert,
    select,
)

from bot.store.schema import Id, UtcTime, db_now, metadata

fact = Table(
    "fact",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("occurred_at", UtcTime, nullable=False),
    Column("recorded_at", UtcTime, nullable=False),
    Column("actor", String(32), nullable=False),  # bot, customer, desk, system, user:<id>
    Column("conversation_id", Id),
    Column("complaint_id", Id),
    Column("refs", JSON, nullable=False),
    Index("ix_fact_conversation", "conversation_id", "id"),
    Index("ix_fact_complaint", "complaint_id", "id"),
    Index("ix_fact_kind", "kind", "occurred_at"),
)


@dataclass(frozen=True)
class Fact:
    """One thing that happened. `refs` holds ids, labels and numbers: no free text, nothing personal."""

    id: int
    kind: str
    occurred_at: datetime
    recorded_at: datetime
    actor: str
    conversation_id: int | None
    complaint_id: int | None
    refs: Mapping[str, Any]


_COLUMNS = [fact.c[name] for name in Fact.__dataclass_fields__]


def add(db: Connection, **values: Any) -> None:
    db.execute(insert(fact).values(recorded_at=db_now(), **values))


def after(db: Connection, fact_id: int, limit: int = 500) -> list[Fact]:
    """Facts with a higher number. On PostgreSQL numbers may commit out of order: readers re-read a little."""
    rows = db.execute(select(*_COLUMNS).where(fact.c.id > fact_id).order_by(fact.c.id).limit(limit))
    return [Fact(**row._mapping) for row in rows]


def newest(db: Connection) -> int:
    return int(db.scalar(select(func.max(fact.c.id))) or 0)


def of_complaint(db: Connection, complaint_id: int) -> list[Fact]:
    rows = db.execute(select(*_COLUMNS).where(fact.c.complaint_id == complaint_id).order_by(fact.c.id))
    return [Fact(**row._mapping) for row in rows]


def of_conversation(db: Connection, conversation_id: int) -> list[Fact]:
    rows = db.execute(select(*_COLUMNS).where(fact.c.conversation_id == conversation_id).order_by(fact.c.id))
    return [Fact(**row._mapping) for row in rows]


def count_since(
    db: Connection,
    kind: str,
    since: datetime,
    *,
    conversation_id: int | None = None,
    complaint_id: int | None = None,
) -> int:
    """How many facts of a kind since then, of one conversation or complaint."""
    statement = select(func.count()).select_from(fact).where(fact.c.kind == kind, fact.c.recorded_at > since)
    if conversation_id is not None:
        statement = statement.where(fact.c.conversation_id == conversation_id)
    if complaint_id is not None:
        statement = statement.where(fact.c.complaint_id == complaint_id)
    return int(db.scalar(statement) or 0)
