"""Web chat sessions: who holds which token."""

from datetime import datetime

from sqlalchemy import Column, Connection, String, Table, delete, insert, select, update

from bot.store.schema import UtcTime, db_now, metadata

webchat_session = Table(
    "webchat_session",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("visitor", String(64), nullable=False, unique=True),  # the identity's external id
    Column("language", String(2), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("seen_at", UtcTime, nullable=False),
)


def open_session(db: Connection, token_hash: str, visitor: str, language: str) -> None:
    db.execute(
        insert(webchat_session).values(
            token_hash=token_hash, visitor=visitor, language=language, created_at=db_now(), seen_at=db_now()
        )
    )


def visitor_of(db: Connection, token_hash: str) -> str | None:
    """The visitor who holds this token."""
    found = db.scalar(select(webchat_session.c.visitor).where(webchat_session.c.token_hash == token_hash))
    return None if found is None else str(found)


def language_of(db: Connection, token_hash: str) -> str:
    found = db.scalar(select(webchat_session.c.language).where(webchat_session.c.token_hash == token_hash))
    return "zh" if found is None else str(found)


def seen(db: Connection, token_hash: str) -> None:
    db.execute(update(webchat_session).where(webchat_session.c.token_hash == token_hash).values(seen_at=db_now()))


def speak(db: Connection, token_hash: str, language: str) -> None:
    """The session goes on in this language."""
    db.execute(update(webchat_session).where(webchat_session.c.token_hash == token_hash).values(language=language))


def forget_unseen(db: Connection, before: datetime) -> int:
    """Ends the sessions of browsers that have not come back since then; gives how many."""
    return int(db.execute(delete(webchat_session).where(webchat_session.c.seen_at < before)).rowcount)
