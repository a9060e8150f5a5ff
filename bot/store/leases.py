"""Who works on which conversation now: leases by the database's clock, with a token that only grows."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, or_, select, update

from bot.store.conversations import COLUMNS, Conversation, change, conversation, lock, now, row_of
from bot.store.sql import locked


def wake(db: Connection, conversation_id: int, at: datetime | None = None) -> None:
    """Work is due at `at` (now by default), unless it is due earlier already."""
    when = at if at is not None else now(db)
    db.execute(
        update(conversation)
        .where(
            conversation.c.id == conversation_id,
            or_(conversation.c.work_at.is_(None), conversation.c.work_at > when),
        )
        .values(work_at=when)
    )


def wake_sender(db: Connection, conversation_id: int, at: datetime | None = None) -> None:
    """Something to send is due at `at` (now by default), unless it is due earlier already."""
    when = at if at is not None else now(db)
    db.execute(
        update(conversation)
        .where(
            conversation.c.id == conversation_id,
            or_(conversation.c.send_at.is_(None), conversation.c.send_at > when),
        )
        .values(send_at=when)
    )


def claim_work(db: Connection, seconds: float) -> Conversation | None:
    """Leases the conversation that has waited longest for a turn; None when nobody waits."""
    return _claim(db, seconds, "work_at", "lease_until", "lease_token")


def claim_sending(db: Connection, seconds: float) -> Conversation | None:
    """Leases the conversation whose outgoing messages have waited longest, and counts that it was claimed once more."""
    once_more = conversation.c.send_claims + 1
    return _claim(db, seconds, "send_at", "send_lease_until", "send_lease_token", send_claims=once_more)


def _claim(db: Connection, seconds: float, due: str, until: str, token: str, **more: Any) -> Conversation | None:
    c = conversation.c
    clock = now(db)
    row = db.execute(
        locked(
            select(*COLUMNS)
            .where(c[due] <= clock, or_(c[until].is_(None), c[until] < clock))
            .order_by(c[due])
            .limit(1),
            skip=True,
        )
    ).first()
    if row is None:
        return None
    found = row_of(row)
    change(db, found.id, **{until: clock + timedelta(seconds=seconds), token: c[token] + 1, **more})
    return lock(db, found.id)


def release_work(db: Connection, conversation_id: int, token: int, due: datetime | None) -> bool:
    """Gives the lease back and says when work is due next; False when the lease was lost."""
    return _release(db, conversation_id, token, due, "work_at", "lease_until", "lease_token")


def release_sending(
    db: Connection, conversation_id: int, token: int, due: datetime | None, *, send_claims: int = 0
) -> bool:
    """As above. `send_claims` is 0 when it was looked at; who has not done so puts back what was there."""
    names = ("send_at", "send_lease_until", "send_lease_token")
    return _release(db, conversation_id, token, due, *names, send_claims=send_claims)


def _release(
    db: Connection, conversation_id: int, token: int, due: datetime | None, at: str, until: str, held: str, **more: Any
) -> bool:
    c = conversation.c
    done = db.execute(
        update(conversation).where(c.id == conversation_id, c[held] == token).values({until: None, at: due, **more})
    )
    return done.rowcount == 1


def forget_sending(db: Connection, conversation_id: int) -> None:
    """Nothing is due there, and whoever was sending is gone."""
    change(db, conversation_id, send_at=None, send_lease_until=None)


def renew_work(db: Connection, conversation_id: int, token: int, seconds: float) -> bool:
    """Prolongs the lease on a conversation's turns; False when it ran out or someone else has it."""
    return _renew(db, conversation_id, token, seconds, "lease_until", "lease_token")


def renew_sending(db: Connection, conversation_id: int, token: int, seconds: float, **more: Any) -> bool:
    """Prolongs the lease on a conversation's sending; False when it ran out or someone else has it."""
    return _renew(db, conversation_id, token, seconds, "send_lease_until", "send_lease_token", **more)


def _renew(
    db: Connection, conversation_id: int, token: int, seconds: float, until: str, held: str, **more: Any
) -> bool:
    c = conversation.c
    clock = now(db)
    done = db.execute(
        update(conversation)
        .where(c.id == conversation_id, c[held] == token, c[until] > clock)
        .values({until: clock + timedelta(seconds=seconds), **more})
    )
    return done.rowcount == 1
