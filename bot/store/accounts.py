"""Channel accounts and how far each polled one has been read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    select,
    update,
)

from bot.store.schema import Id, UtcTime, db_now, metadata
from bot.store.sql import insert_new

channel_account = Table(
    "channel_account",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("slug", String(64), nullable=False),
    Column("settings", JSON, nullable=False),
    Column("secret", Text, nullable=False),  # sealed by bot.sealing
    Column("previous_secret", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    UniqueConstraint("kind", "slug"),
)

# Where a polled source (a channel account or a desk) has been read up to, and who reads it now.
cursor = Table(
    "cursor",
    metadata,
    Column("source", String(128), primary_key=True),
    Column("position", Text, nullable=False),
    Column("lease_until", UtcTime),
    Column("lease_token", Integer, nullable=False, default=0),
    Column("updated_at", UtcTime, nullable=False),
)


@dataclass(frozen=True)
class AccountRow:
    """A channel account with its secrets still sealed."""

    id: int
    kind: str
    slug: str
    settings: Mapping[str, str]
    secret: str
    previous_secret: str


def _row(row: Any) -> AccountRow:
    return AccountRow(row.id, row.kind, row.slug, row.settings, row.secret, row.previous_secret)


def seed(
    db: Connection, kind: str, slug: str, *, settings: Mapping[str, str], secret: str, previous_secret: str = ""
) -> AccountRow:
    """The account of this kind and slug, made if it is not there yet."""
    insert_new(
        db,
        channel_account,
        kind=kind,
        slug=slug,
        settings=dict(settings),
        secret=secret,
        previous_secret=previous_secret,
        created_at=db_now(),
    )
    found = by_slug(db, kind, slug)
    assert found is not None  # noqa: S101 - just inserted, in this transaction
    return found


def replace_settings(db: Connection, account_id: int, *, settings: Mapping[str, str], secret: str) -> None:
    db.execute(
        update(channel_account)
        .where(channel_account.c.id == account_id)
        .values(settings=dict(settings), secret=secret, previous_secret=channel_account.c.secret)
    )


def by_slug(db: Connection, kind: str, slug: str) -> AccountRow | None:
    row = db.execute(
        select(channel_account).where(channel_account.c.kind == kind, channel_account.c.slug == slug)
    ).first()
    return _row(row) if row else None


def all_accounts(db: Connection) -> list[AccountRow]:
    return [_row(row) for row in db.execute(select(channel_account).order_by(channel_account.c.id))]
