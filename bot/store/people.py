"""Persons, their identities on channels, and the personal values kept apart and sealed."""

from collections.abc import Sequence
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
    or_,
    select,
)

from bot.store.accounts import channel_account
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


def identities(
    db: Connection,
    *,
    number: int | None = None,
    person: int | None = None,
    account: tuple[str, str] | None = None,
    external_id: str = "",
) -> list[int]:
    """Ids of identities by their own id, by their person's, or by channel account (kind, slug) and external id."""
    c = identity.c
    statement = select(c.id).order_by(c.id)
    if number is not None:
        statement = statement.where(c.id == number)
    if person is not None:
        statement = statement.where(c.person_id == person)
    if account is not None:
        kind, slug = account
        accounts = select(channel_account.c.id).where(channel_account.c.kind == kind, channel_account.c.slug == slug)
        statement = statement.where(c.account_id.in_(accounts), c.external_id == external_id)
    return [int(one) for one in db.scalars(statement)]


def by_value(db: Connection, kind: str, lookup: str) -> list[int]:
    """Ids of all identities that have given this personal value."""
    rows = db.scalars(
        select(personal_value.c.identity_id)
        .where(personal_value.c.kind == kind, personal_value.c.lookup == lookup)
        .order_by(personal_value.c.identity_id)
    )
    return [int(one) for one in rows if one is not None]


def of_same_person(db: Connection, identity_ids: Sequence[int]) -> list[int]:
    """These identities and all that were bound to the same persons, in order."""
    persons = select(identity.c.person_id).where(identity.c.id.in_(identity_ids), identity.c.person_id.is_not(None))
    found = db.scalars(
        select(identity.c.id).where(or_(identity.c.id.in_(identity_ids), identity.c.person_id.in_(persons)))
    )
    return sorted(int(one) for one in found)


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
