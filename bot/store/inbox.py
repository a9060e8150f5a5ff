"""What came in, once per event key, and what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    cast,
    func,
    select,
    text,
    update,
)

from bot.store.schema import Id, UtcTime, letter_index, metadata
from bot.store.sql import inserted_id
from bot.store.turns import turn

# Dispositions. `open` waits to be taken, once, by a turn's commit or by a person; all others are final.
OPEN = "open"
BY_TURN = "turn"
BY_PERSON = "person"
WISH = "wish"  # asked for a person: handled when accepted
STOP_WAITING = "stop_waiting"
RECORDED = "recorded"  # no turn comes of it; `detail` has the platform's word
UNSUPPORTED = "unsupported"  # recorded, and answered that we cannot read this kind
REPLACED = "replaced"  # an edit took its place before its turn was fixed
ERASED = "erased"  # its words were erased before anybody answered
STALE_TAP = "stale_tap"  # a button of another question than the open one

LETTER = "kind = 'malformed' AND discarded_at IS NULL"
FILE_LETTER = "state = 'refused' AND reason = 'gone' AND discarded_at IS NULL"

inbox = Table(
    "inbox",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account_id", Id, ForeignKey("channel_account.id"), nullable=False),
    Column("event_key", String(192), nullable=False),
    Column("conversation_id", Id, ForeignKey("conversation.id")),
    Column("sequence", Integer),
    Column("kind", String(16), nullable=False),
    Column("text", Text, nullable=False),
    Column("payload", String(256), nullable=False),
    Column("raw", JSON, nullable=False),
    Column("detail", String(128), nullable=False),
    Column("platform_time", UtcTime),
    Column("received_at", UtcTime, nullable=False),
    Column("disposition", String(16), nullable=False),
    Column("turn_id", Id, ForeignKey("turn.id")),
    Column("taken_by", Id, ForeignKey("app_user.id")),
    Column("taken_at", UtcTime),
    Column("discarded_at", UtcTime),  # a person let an unreadable one go
    UniqueConstraint("account_id", "event_key"),
    UniqueConstraint("conversation_id", "sequence"),
    Index("ix_inbox_open", "conversation_id", "disposition", "sequence"),
    letter_index("inbox", LETTER),
    Index(
        "ix_inbox_waiting",
        "received_at",
        sqlite_where=text("disposition = 'open'"),
        postgresql_where=text("disposition = 'open'"),
    ),
)

attachment = Table(
    "attachment",
    metadata,
    Column("id", Id, primary_key=True),
    Column("inbox_id", Id, ForeignKey("inbox.id"), nullable=False, index=True),
    Column("conversation_id", Id, ForeignKey("conversation.id"), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("channel_ref", Text, nullable=False),
    Column("name", String(255), nullable=False),
    Column("mime", String(127), nullable=False),
    Column("state", String(16), nullable=False),  # pending, stored, refused
    Column("reason", String(64), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("blob_id", Id, ForeignKey("blob.id")),
    Column("stopped_at", UtcTime),  # when we gave up fetching it
    Column("discarded_at", UtcTime),  # a person let it go
    letter_index("attachment", FILE_LETTER),
)


@dataclass(frozen=True)
class InboxRow:
    """One accepted event of a conversation."""

    id: int
    conversation_id: int
    sequence: int
    kind: str
    text: str
    payload: str
    detail: str
    received_at: datetime
    disposition: str
    turn_id: int | None
    taken_by: int | None


@dataclass(frozen=True)
class AttachmentRow:
    """A file that came with a message, and whether we have it."""

    id: int
    inbox_id: int
    conversation_id: int
    kind: str
    channel_ref: str
    name: str
    mime: str
    state: str
    reason: str
    attempts: int
    blob_id: int | None


_COLUMNS = [inbox.c[name] for name in InboxRow.__dataclass_fields__]
_FILES = [attachment.c[name] for name in AttachmentRow.__dataclass_fields__]


def add(db: Connection, **values: Any) -> int | None:
    """The new row's id; None when this event is here already."""
    return inserted_id(db, inbox, **values)


def place(db: Connection, inbox_id: int, **values: Any) -> None:
    db.execute(update(inbox).where(inbox.c.id == inbox_id).values(**values))


def by_key(db: Connection, account_id: int, event_key: str) -> InboxRow | None:
    row = db.execute(select(*_COLUMNS).where(inbox.c.account_id == account_id, inbox.c.event_key == event_key)).first()
    return InboxRow(**row._mapping) if row else None


def open_rows(
    db: Connection, conversation_id: int, *, up_to: int | None = None, limit: int | None = None
) -> list[InboxRow]:
    """What nobody has taken yet, in order; with `up_to`, only to that sequence number; at most `limit`."""
    statement = select(*_COLUMNS).where(inbox.c.conversation_id == conversation_id, inbox.c.disposition == OPEN)
    if up_to is not None:
        statement = statement.where(inbox.c.sequence <= up_to)
    return [InboxRow(**row._mapping) for row in db.execute(statement.order_by(inbox.c.sequence).limit(limit))]


def take_for_turn(db: Connection, conversation_id: int, first: int, last: int, turn_id: int, at: datetime) -> int:
    """Marks the rows of a turn as taken; gives how many."""
    done = db.execute(
        update(inbox)
        .where(
            inbox.c.conversation_id == conversation_id,
            inbox.c.disposition == OPEN,
            inbox.c.sequence.between(first, last),
        )
        .values(disposition=BY_TURN, turn_id=turn_id, taken_at=at)
    )
    return int(done.rowcount)


def taken_by_turn(db: Connection, turn_id: int) -> bool:
    """Whether messages were taken with this turn."""
    return db.scalar(select(inbox.c.id).where(inbox.c.turn_id == turn_id).limit(1)) is not None


def give_back(db: Connection, turn_id: int) -> None:
    """What was taken with this turn waits again."""
    db.execute(update(inbox).where(inbox.c.turn_id == turn_id).values(disposition=OPEN, turn_id=None, taken_at=None))


def take_for_person(db: Connection, conversation_id: int, up_to: int, user_id: int, at: datetime) -> int:
    done = db.execute(
        update(inbox)
        .where(
            inbox.c.conversation_id == conversation_id,
            inbox.c.disposition == OPEN,
            inbox.c.sequence <= up_to,
        )
        .values(disposition=BY_PERSON, taken_by=user_id, taken_at=at)
    )
    return int(done.rowcount)


def take_for_erasure(db: Connection, conversation_id: int, at: datetime) -> int:
    """What nobody has answered will not be: its words are going. Gives how many."""
    done = db.execute(
        update(inbox)
        .where(inbox.c.conversation_id == conversation_id, inbox.c.disposition == OPEN)
        .values(disposition=ERASED, taken_at=at)
    )
    return int(done.rowcount)


def forget_raw(db: Connection, before: datetime) -> int:
    """Drops what platforms sent beside the words, of messages received before then; gives of how many."""
    done = db.execute(update(inbox).where(inbox.c.received_at < before, cast(inbox.c.raw, Text) != "{}").values(raw={}))
    return int(done.rowcount)


def history(db: Connection, conversation_id: int) -> list[InboxRow]:
    """Everything that came in on this conversation, in order."""
    rows = db.execute(select(*_COLUMNS).where(inbox.c.conversation_id == conversation_id).order_by(inbox.c.sequence))
    return [InboxRow(**row._mapping) for row in rows]


def add_attachments(db: Connection, inbox_id: int, conversation_id: int, files: Sequence[Mapping[str, Any]]) -> None:
    """Files to be fetched; those with a `blob_id` are here already."""
    for values in files:
        db.execute(
            attachment.insert().values(
                inbox_id=inbox_id,
                conversation_id=conversation_id,
                state="pending" if values.get("blob_id") is None else "stored",
                reason="",
                attempts=0,
                **values,
            )
        )


def attachments(db: Connection, conversation_id: int) -> list[AttachmentRow]:
    rows = db.execute(select(*_FILES).where(attachment.c.conversation_id == conversation_id).order_by(attachment.c.id))
    return [AttachmentRow(**row._mapping) for row in rows]


def stored_file(db: Connection, conversation_id: int, attachment_id: int) -> AttachmentRow | None:
    """A file of this conversation that we have; None for any other number."""
    files = attachments(db, conversation_id)
    return next((file for file in files if file.id == attachment_id and file.state == "stored"), None)


def said_after(db: Connection, conversation_id: int, sequence: int, limit: int = 50) -> list[InboxRow]:
    """What the customer has said since that sequence number, in order."""
    rows = db.execute(
        select(*_COLUMNS)
        .where(inbox.c.conversation_id == conversation_id, inbox.c.sequence > sequence)
        .order_by(inbox.c.sequence)
        .limit(limit)
    )
    return [InboxRow(**row._mapping) for row in rows]


def pending_attachments(db: Connection, conversation_id: int) -> list[AttachmentRow]:
    return [file for file in attachments(db, conversation_id) if file.state == "pending"]


def kept_files(db: Connection, conversation_id: int, first: int, last: int) -> int:
    """How many files of these messages were not refused."""
    kept = db.scalar(
        select(func.count())
        .select_from(attachment)
        .join(inbox, inbox.c.id == attachment.c.inbox_id)
        .where(
            inbox.c.conversation_id == conversation_id,
            inbox.c.sequence.between(first, last),
            attachment.c.state != "refused",
        )
    )
    return int(kept or 0)


def suspected(db: Connection, conversation_id: int) -> bool:
    """Whether a file was begun with and is not here: it failed, or killed whoever fetched it."""
    return any(file.attempts for file in pending_attachments(db, conversation_id))


def settle_attachment(db: Connection, attachment_id: int, **values: Any) -> bool:
    """Changes a file that is still to be fetched; False when it is not any more."""
    waits = (attachment.c.id == attachment_id, attachment.c.state == "pending")
    return db.execute(update(attachment).where(*waits).values(**values)).rowcount == 1


def in_open_turn(db: Connection, conversation_id: int, sequence: int) -> bool:
    """Whether a turn that is being worked on has this message's words already."""
    found = db.scalar(
        select(turn.c.id).where(
            turn.c.conversation_id == conversation_id,
            turn.c.state == "open",
            turn.c.first_sequence <= sequence,
            turn.c.last_sequence >= sequence,
        )
    )
    return found is not None
