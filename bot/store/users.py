"""People at work: logins, server-side sessions, attempts to log in, and the audit log."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Index,
    String,
    Table,
    delete,
    func,
    insert,
    select,
    update,
)

from bot.store.schema import Id, UtcTime, db_now, metadata
from bot.store.sql import inserted_id

app_user = Table(
    "app_user",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("password_hash", String(255), nullable=False),
    Column("role", String(16), nullable=False),  # agent, supervisor, marketing, admin
    Column("language", String(2), nullable=False),
    Column("active", Boolean, nullable=False),
    Column("created_at", UtcTime, nullable=False),
)

session = Table(
    "session",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("user_id", Id, ForeignKey("app_user.id"), nullable=False, index=True),
    Column("csrf", String(64), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("seen_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
)

login_attempt = Table(
    "login_attempt",
    metadata,
    Column("id", Id, primary_key=True),
    Column("scope", String(80), nullable=False),  # name:<hash> or address:<hash>
    Column("at", UtcTime, nullable=False),
    Index("ix_login_attempt_scope", "scope", "at"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, ForeignKey("app_user.id")),
    Column("action", String(64), nullable=False),
    Column("refs", JSON, nullable=False),
    Column("at", UtcTime, nullable=False),
)


@dataclass(frozen=True)
class User:
    """A login."""

    id: int
    name: str
    password_hash: str
    role: str
    language: str
    active: bool


@dataclass(frozen=True)
class Session:
    """A live session of a user."""

    token_hash: str
    user: User
    csrf: str
    expires_at: datetime


_COLUMNS = [app_user.c[name] for name in User.__dataclass_fields__]


def add(db: Connection, name: str, password_hash: str, role: str, language: str = "zh") -> int | None:
    """The new login's id; None when the name is taken."""
    return inserted_id(
        db,
        app_user,
        name=name,
        password_hash=password_hash,
        role=role,
        language=language,
        active=True,
        created_at=db_now(),
    )


def by_name(db: Connection, name: str) -> User | None:
    row = db.execute(select(*_COLUMNS).where(app_user.c.name == name)).first()
    return User(**row._mapping) if row else None


def read(db: Connection, user_id: int) -> User | None:
    row = db.execute(select(*_COLUMNS).where(app_user.c.id == user_id)).first()
    return User(**row._mapping) if row else None


def count(db: Connection) -> int:
    return int(db.scalar(select(func.count()).select_from(app_user)) or 0)


def change(db: Connection, user_id: int, **values: Any) -> None:
    db.execute(update(app_user).where(app_user.c.id == user_id).values(**values))


def open_session(db: Connection, token_hash: str, user_id: int, csrf: str, lasts: timedelta) -> None:
    clock = db.scalar(select(db_now()))
    assert clock is not None  # noqa: S101 - the clock always answers
    db.execute(
        insert(session).values(
            token_hash=token_hash,
            user_id=user_id,
            csrf=csrf,
            created_at=clock,
            seen_at=clock,
            expires_at=clock + lasts,
        )
    )


def session_by_hash(db: Connection, token_hash: str) -> Session | None:
    """The session if it is alive and its user may work."""
    row = db.execute(
        select(session.c.token_hash, session.c.csrf, session.c.expires_at, *_COLUMNS)
        .join(app_user, app_user.c.id == session.c.user_id)
        .where(session.c.token_hash == token_hash, session.c.expires_at > db_now(), app_user.c.active.is_(True))
    ).first()
    if row is None:
        return None
    user = User(**{name: row._mapping[name] for name in User.__dataclass_fields__})
    return Session(row.token_hash, user, row.csrf, row.expires_at)


def close_session(db: Connection, token_hash: str) -> None:
    db.execute(delete(session).where(session.c.token_hash == token_hash))


def attempts_since(db: Connection, scope: str, since: datetime) -> int:
    return int(
        db.scalar(
            select(func.count())
            .select_from(login_attempt)
            .where(login_attempt.c.scope == scope, login_attempt.c.at > since)
        )
        or 0
    )


def forget_attempts(db: Connection, scope: str) -> None:
    db.execute(delete(login_attempt).where(login_attempt.c.scope == scope))


def log(db: Connection, user_id: int | None, action: str, refs: Mapping[str, Any]) -> None:
    db.execute(insert(audit).values(user_id=user_id, action=action, refs=dict(refs), at=db_now()))
