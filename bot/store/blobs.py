"""Attachments in SQL, in chunks, so that one database backup holds everything."""

from datetime import datetime

from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Integer,
    LargeBinary,
    String,
    Table,
    delete,
    insert,
    select,
)

from bot.store.inbox import attachment
from bot.store.schema import Id, UtcTime, db_now, metadata

CHUNK = 256 * 1024  # bytes

blob = Table(
    "blob",
    metadata,
    Column("id", Id, primary_key=True),
    Column("sha256", String(64), nullable=False, index=True),
    Column("size", Integer, nullable=False),
    Column("mime", String(127), nullable=False),
    Column("created_at", UtcTime, nullable=False),
)

blob_chunk = Table(
    "blob_chunk",
    metadata,
    Column("blob_id", Id, ForeignKey("blob.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)


def add(db: Connection, content: bytes, *, sha256: str, mime: str) -> int:
    done = db.execute(insert(blob).values(sha256=sha256, size=len(content), mime=mime, created_at=db_now()))
    key = done.inserted_primary_key
    assert key is not None  # noqa: S101 - an insert of one row has a key
    for number, start in enumerate(range(0, len(content), CHUNK)):
        db.execute(insert(blob_chunk).values(blob_id=key[0], number=number, content=content[start : start + CHUNK]))
    return int(key[0])


def type_of(db: Connection, blob_id: int) -> str | None:
    """Its type; None when there is no such blob."""
    found = db.scalar(select(blob.c.mime).where(blob.c.id == blob_id))
    return None if found is None else str(found)


def content(db: Connection, blob_id: int) -> tuple[bytes, str] | None:
    """(content, type), or None when there is no such blob."""
    head = db.execute(select(blob.c.mime).where(blob.c.id == blob_id)).first()
    if head is None:
        return None
    rows = db.execute(select(blob_chunk.c.content).where(blob_chunk.c.blob_id == blob_id).order_by(blob_chunk.c.number))
    return b"".join(row.content for row in rows), head.mime


def remove_orphans(db: Connection, before: datetime) -> int:
    """Removes what was stored before then and belongs to no message: its process died between the two commits."""
    kept = select(attachment.c.blob_id).where(attachment.c.blob_id.is_not(None))
    lost = list(db.scalars(select(blob.c.id).where(blob.c.created_at < before, blob.c.id.not_in(kept))))
    for blob_id in lost:
        remove(db, blob_id)
    return len(lost)


def remove(db: Connection, blob_id: int) -> None:
    db.execute(delete(blob_chunk).where(blob_chunk.c.blob_id == blob_id))
    db.execute(delete(blob).where(blob.c.id == blob_id))
