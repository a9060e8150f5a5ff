"""Persons, their identities on channels, and the personal values kept apart and sealed."""

from dataclasses import dataclass

from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
    select,
)

from bot.store.schema import Id, UtcTime, db_now, metadata
from bot.store.sql import inserted_id

person = Table(
    "person",
    metadata,
    Column("id", Id, primary_key=True),
    Column("created_at", UtcTime, nullable=False),
)

identity = Table(
    "identity",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account_id", Id, ForeignKey("channel_account.id"), nullable=False),
    Column("external_id", String(128), nullable=False),
    Column("person_id", Id, ForeignKey("person.id")),  # empty until bound by proof
    Column("created_at", UtcTime, nullable=False),
    UniqueConstraint("account_id", "external_id"),
)

personal_value = Table(
    "personal_value",
    metadata,
    Column("id", Id, primary_key=True),
    Column("identity_id", Id, ForeignKey("identity.id")),
    Column("person_id", Id, ForeignKey("person.id")),
    Column("kind", String(32), nullable=False),  # name, phone …
    Column("sealed", LargeBinary, nullable=False),  # AES-GCM, by bot.sealing
    Column("lookup", String(64), nullable=False),  # keyed hash of the normalised value
    Column("created_at", UtcTime, nullable=False),
    UniqueConstraint("identity_id", "kind", "lookup"),
    Index("ix_personal_value_lookup", "kind", "lookup"),
)


@dataclass(frozen=True)
class Identity:
    """One person's account at one channel account."""

    id: int
    account_id: int
    external_id: str
    person_id: int | None


def ensure_identity(db: Connection, account_id: int, external_id: str) -> Identity:
    inserted_id(db, identity, account_id=account_id, external_id=external_id, created_at=db_now())
    row = db.execute(
        select(identity).where(identity.c.account_id == account_id, identity.c.external_id == external_id)
    ).one()
    return Identity(row.id, row.account_id, row.external_id, row.person_id)


def identity_by_id(db: Connection, identity_id: int) -> Identity:
    row = db.execute(select(identity).where(identity.c.id == identity_id)).one()
    return Identity(row.id, row.account_id, row.external_id, row.person_id)


def keep_value(db: Connection, identity_id: int, kind: str, *, sealed: bytes, lookup: str) -> None:
    """Keeps a sealed personal value; the same value again changes nothing."""
    inserted_id(
        db,
        personal_value,
        identity_id=identity_id,
        kind=kind,
        sealed=sealed,
        lookup=lookup,
        created_at=db_now(),
    )
