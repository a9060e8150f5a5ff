"""How far each polled source (a channel account or a desk) has been read, and who reads it now."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, Update, or_, select, update

from bot.store.accounts import cursor
from bot.store.conversations import now
from bot.store.schema import db_now
from bot.store.sql import insert_new, locked


def lease(db: Connection, source: str, seconds: float) -> tuple[int, str] | None:
    """The right to read this source, as (token, position so far); None while someone else has it."""
    insert_new(db, cursor, source=source, position="", lease_token=0, updated_at=db_now())
    clock = now(db)
    free = or_(cursor.c.lease_until.is_(None), cursor.c.lease_until < clock)
    row = db.execute(
        locked(select(cursor.c.lease_token, cursor.c.position).where(cursor.c.source == source, free), skip=True)
    ).first()
    if row is None:
        return None
    token = int(row.lease_token) + 1
    until = clock + timedelta(seconds=seconds)
    db.execute(update(cursor).where(cursor.c.source == source).values(lease_token=token, lease_until=until))
    return token, str(row.position)


def renew(db: Connection, source: str, token: int, seconds: float) -> bool:
    """False when someone else has taken the source over."""
    until = now(db) + timedelta(seconds=seconds)
    done = db.execute(_mine(source, token).values(lease_until=until))
    return done.rowcount == 1


def advance(db: Connection, source: str, token: int, position: str) -> bool:
    """Moves the position, in the transaction that keeps what was read. False: someone else reads now; roll back."""
    done = db.execute(_mine(source, token).values(position=position, updated_at=db_now()))
    return done.rowcount == 1


def release(db: Connection, source: str, token: int) -> None:
    """Lets the next reader begin at once. The token stays used: a late `advance` with it must fail."""
    db.execute(_mine(source, token).values(lease_until=None, lease_token=token + 1))


def _mine(source: str, token: int) -> Update:
    return update(cursor).where(cursor.c.source == source, cursor.c.lease_token == token)


def heard_at(db: Connection, source: str) -> datetime | None:
    """When this source last answered; None when it was never read."""
    found = db.scalar(select(cursor.c.updated_at).where(cursor.c.source == source, cursor.c.position != ""))
    return found if isinstance(found, datetime) else None
