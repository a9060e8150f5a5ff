"""Conversations: one lifelong row per identity, its leases, and the stretches it went through."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    func,
    insert,
    select,
    text,
    tuple_,
    update,
)

from bot.store.people import identity
from bot.store.schema import Id, UtcTime, db_now, metadata
from bot.store.sql import inserted_id, locked

FRONT, ORDINARY = 0, 1  # queue_rank
# Of indexes that hold only the conversations that are worked on.
LEASED, SEND_LEASED = "lease_until IS NOT NULL", "send_lease_until IS NOT NULL"

conversation = Table(
    "conversation",
    metadata,
    Column("id", Id, primary_key=True),
    Column("identity_id", Id, ForeignKey("identity.id"), nullable=False, unique=True),
    Column("account_id", Id, ForeignKey("channel_account.id"), nullable=False),
    Column("state", String(16), nullable=False),  # bot, queued, agent, closed
    Column("owner_id", Id, ForeignKey("app_user.id")),
    Column("epoch", Integer, nullable=False),
    Column("next_sequence", Integer, nullable=False),
    Column("next_stream", Integer, nullable=False),  # numbers of what was sent, for pulled channels
    Column("language", String(2), nullable=False),
    Column("dialogue", JSON, nullable=False),  # Rasa's state, opaque to us
    Column("question", JSON),  # the reply that asked the open question: repeated after an agent's stretch
    Column("queued_at", UtcTime),
    Column("queue_reason", String(32)),
    Column("queue_rank", Integer, nullable=False, server_default="1"),  # 0: danger to life goes to the front
    Column("introduced_at", UtcTime),  # when we said who we are and what becomes of what is said
    Column("last_inbound_at", UtcTime),
    Column("work_at", UtcTime),  # when a turn or a download is due; null: nothing to do
    Column("lease_until", UtcTime),
    Column("lease_token", Integer, nullable=False),
    Column("send_at", UtcTime),  # when something in the outbox is due
    Column("send_lease_until", UtcTime),
    Column("send_lease_token", Integer, nullable=False),
    Column(
        "send_claims", Integer, nullable=False, default=0
    ),  # leases on sending since the last one that was given back
    Column("created_at", UtcTime, nullable=False),
    CheckConstraint("state IN ('bot', 'queued', 'agent', 'closed')", name="state"),
    CheckConstraint("(state = 'agent') = (owner_id IS NOT NULL)", name="owner"),
    Index("ix_conversation_work", "work_at"),
    Index("ix_conversation_send", "send_at"),
    Index("ix_conversation_queue", "state", "queue_rank", "queued_at"),
    Index("ix_conversation_lease", "lease_until", sqlite_where=text(LEASED), postgresql_where=text(LEASED)),
    Index(
        "ix_conversation_send_lease",
        "send_lease_until",
        sqlite_where=text(SEND_LEASED),
        postgresql_where=text(SEND_LEASED),
    ),
)

# One stretch of a conversation with one answerer.
episode = Table(
    "episode",
    metadata,
    Column("id", Id, primary_key=True),
    Column("conversation_id", Id, ForeignKey("conversation.id"), nullable=False, index=True),
    Column("epoch", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("owner_id", Id),
    Column("reason", String(64), nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("first_sequence", Integer, nullable=False),
)


@dataclass(frozen=True)
class Conversation:
    """A conversation as it was when read; `epoch` tells whether it still is."""

    id: int
    identity_id: int
    account_id: int
    state: str
    owner_id: int | None
    epoch: int
    next_sequence: int
    next_stream: int
    language: str
    dialogue: Mapping[str, Any]
    question: Mapping[str, Any] | None
    queued_at: datetime | None
    queue_reason: str | None
    queue_rank: int
    introduced_at: datetime | None
    last_inbound_at: datetime | None
    work_at: datetime | None
    lease_token: int
    send_at: datetime | None
    send_lease_token: int
    send_claims: int
    created_at: datetime


COLUMNS = [conversation.c[name] for name in Conversation.__dataclass_fields__]


def row_of(row: Any) -> Conversation:
    """A selected row as a Conversation."""
    return Conversation(**row._mapping)


def ensure(db: Connection, identity_id: int, account_id: int, language: str) -> Conversation:
    """The identity's conversation, locked; made with the bot answering if there is none."""
    made = inserted_id(
        db,
        conversation,
        identity_id=identity_id,
        account_id=account_id,
        state="bot",
        epoch=1,
        next_sequence=1,
        next_stream=1,
        language=language,
        dialogue={},
        lease_token=0,
        send_lease_token=0,
        queue_rank=ORDINARY,
        created_at=db_now(),
    )
    row = db.execute(locked(select(*COLUMNS).where(conversation.c.identity_id == identity_id))).one()
    if made is not None:
        add_episode(db, row_of(row), "first contact")
    return row_of(row)


def read(db: Connection, conversation_id: int) -> Conversation | None:
    row = db.execute(select(*COLUMNS).where(conversation.c.id == conversation_id)).first()
    return row_of(row) if row else None


def lock(db: Connection, conversation_id: int) -> Conversation:
    """The conversation, locked until the transaction ends. Raises NoResultFound for an unknown id."""
    return row_of(db.execute(locked(select(*COLUMNS).where(conversation.c.id == conversation_id))).one())


def lock_of_identities(db: Connection, identity_ids: Sequence[int]) -> list[Conversation]:
    """Their conversations, locked in the order of their ids, so that two who lock several cannot wait for each other."""
    statement = select(*COLUMNS).where(conversation.c.identity_id.in_(identity_ids)).order_by(conversation.c.id)
    return [row_of(row) for row in db.execute(locked(statement))]


def of_identity(db: Connection, identity_id: int) -> Conversation | None:
    row = db.execute(select(*COLUMNS).where(conversation.c.identity_id == identity_id)).first()
    return row_of(row) if row else None


def of_sender(db: Connection, account_id: int, external_id: str) -> Conversation | None:
    """The conversation of a platform's person at this account."""
    row = db.execute(
        select(*COLUMNS)
        .join(identity, identity.c.id == conversation.c.identity_id)
        .where(identity.c.account_id == account_id, identity.c.external_id == external_id)
    ).first()
    return row_of(row) if row else None


def change(db: Connection, conversation_id: int, **values: Any) -> None:
    """Sets columns of a conversation that this transaction has locked."""
    db.execute(update(conversation).where(conversation.c.id == conversation_id).values(**values))


def move(db: Connection, conversation_id: int, seen_epoch: int, **values: Any) -> bool:
    """Compare-and-set on the epoch, which it bumps; False when someone else was faster."""
    done = db.execute(
        update(conversation)
        .where(conversation.c.id == conversation_id, conversation.c.epoch == seen_epoch)
        .values(epoch=seen_epoch + 1, **values)
    )
    return done.rowcount == 1


def add_episode(db: Connection, now_is: Conversation, reason: str) -> None:
    db.execute(
        insert(episode).values(
            conversation_id=now_is.id,
            epoch=now_is.epoch,
            state=now_is.state,
            owner_id=now_is.owner_id,
            reason=reason,
            started_at=db_now(),
            first_sequence=now_is.next_sequence,
        )
    )


def now(db: Connection) -> datetime:
    """The database's clock: the only one that leases are measured by."""
    found = db.scalar(select(db_now()))
    assert isinstance(found, datetime)  # noqa: S101 - the clock always answers
    return found


def queue(db: Connection) -> list[Conversation]:
    """Who waits for a person: emergencies first, then the longest wait."""
    c = conversation.c
    rows = db.execute(select(*COLUMNS).where(c.state == "queued").order_by(c.queue_rank, c.queued_at, c.id))
    return [row_of(row) for row in rows]


def owned(db: Connection, user_id: int | None = None) -> list[Conversation]:
    """Conversations with an agent, of this one or of all; the last customer message first."""
    statement = select(*COLUMNS).where(conversation.c.state == "agent")
    if user_id is not None:
        statement = statement.where(conversation.c.owner_id == user_id)
    return [row_of(row) for row in db.execute(statement.order_by(conversation.c.last_inbound_at.desc()))]


def recent(db: Connection, limit: int = 50) -> list[Conversation]:
    """All conversations, the last customer message first."""
    rows = db.execute(select(*COLUMNS).order_by(conversation.c.last_inbound_at.desc().nulls_last()).limit(limit))
    return [row_of(row) for row in rows]


def position(db: Connection, waiting: Conversation) -> int:
    """1 for the one who is served next."""
    c = conversation.c
    ahead = db.scalar(
        select(func.count())
        .select_from(conversation)
        .where(
            c.state == "queued",
            tuple_(c.queue_rank, c.queued_at, c.id) < tuple_(waiting.queue_rank, waiting.queued_at, waiting.id),
        )
    )
    return int(ahead or 0) + 1
