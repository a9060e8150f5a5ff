"""What goes out: each row once, with the class that decides in which state it may go."""

from collections.abc import Mapping
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
    select,
    text,
    update,
)

from bot.store.conversations import conversation
from bot.store.schema import Id, UtcTime, db_now, letter_index, metadata
from bot.store.sql import inserted_id

WAITING = ("pending", "retry", "sending")

LETTER = "state IN ('dead', 'uncertain') AND discarded_at IS NULL"
# Of the index; a question that uses it has to say the same words.
UNSETTLED = "state IN ('pending', 'sending', 'retry', 'uncertain', 'dead', 'held')"

outbox = Table(
    "outbox",
    metadata,
    Column("id", Id, primary_key=True),
    Column("conversation_id", Id, ForeignKey("conversation.id"), nullable=False),
    Column("key", String(128), nullable=False),  # turn:<id>, notice:<id>, agent:<user>:<client id>
    Column("part", Integer, nullable=False),
    Column("class_", String(16), nullable=False),  # turn, notice, courtesy, agent
    Column("topic", String(32), nullable=False),  # receipt, position, wait … : newest of a courtesy wins
    Column("epoch", Integer, nullable=False),
    Column("turn_id", Id, ForeignKey("turn.id")),
    Column("author_id", Id, ForeignKey("app_user.id")),
    Column("text_key", String(128), nullable=False),  # rendered when sent; empty for an agent's own words
    Column("args", JSON, nullable=False),
    Column("text", Text, nullable=False),  # an agent's words, or what was rendered once it is sent
    Column("buttons", JSON, nullable=False),  # [{"payload", "key"}]
    Column("question", String(64), nullable=False),  # the question that its buttons answer
    Column("state", String(16), nullable=False),  # pending, sending, sent, retry, uncertain, dead, superseded, held
    Column("reason", String(64), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("pieces_sent", Integer, nullable=False),
    Column("due_at", UtcTime, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("sending_at", UtcTime),
    Column("sent_at", UtcTime),
    Column("stopped_at", UtcTime),  # when it became dead or uncertain
    Column("replayed_at", UtcTime),  # when a person wanted it sent again: the time to give up counts from there
    Column("discarded_at", UtcTime),  # a person let it go, dead or uncertain as it is
    Column("stream", Integer),  # number in the conversation's stream, for pulled channels
    Column("platform_id", String(128), nullable=False),
    UniqueConstraint("key", "part"),
    UniqueConstraint("conversation_id", "stream"),
    Index("ix_outbox_due", "conversation_id", "state", "id"),
    letter_index("outbox", LETTER),
    Index("ix_outbox_unsettled", "state", "class_", sqlite_where=text(UNSETTLED), postgresql_where=text(UNSETTLED)),
)


@dataclass(frozen=True)
class OutboxRow:
    """One outgoing message."""

    id: int
    conversation_id: int
    key: str
    part: int
    class_: str
    topic: str
    epoch: int
    turn_id: int | None
    author_id: int | None
    text_key: str
    args: Mapping[str, Any]
    text: str
    buttons: list[Mapping[str, Any]]
    question: str
    state: str
    reason: str
    attempts: int
    pieces_sent: int
    due_at: datetime
    created_at: datetime
    sending_at: datetime | None
    sent_at: datetime | None
    stream: int | None
    replayed_at: datetime | None
    discarded_at: datetime | None


_COLUMNS = [outbox.c[name] for name in OutboxRow.__dataclass_fields__]


def _row(row: Any) -> OutboxRow:
    return OutboxRow(**row._mapping)


def add(db: Connection, **values: Any) -> int | None:
    """The new row's id; None when this key and part are here already."""
    filled: dict[str, Any] = {
        "part": 0,
        "topic": "",
        "text_key": "",
        "args": {},
        "text": "",
        "buttons": [],
        "question": "",
        "state": "pending",
        "reason": "",
        "attempts": 0,
        "pieces_sent": 0,
        "due_at": db_now(),
        "created_at": db_now(),
        "platform_id": "",
    }
    return inserted_id(db, outbox, **(filled | values))


def read(db: Connection, outbox_id: int) -> OutboxRow | None:
    row = db.execute(select(*_COLUMNS).where(outbox.c.id == outbox_id)).first()
    return _row(row) if row else None


def by_key(db: Connection, key: str, part: int = 0) -> OutboxRow | None:
    row = db.execute(select(*_COLUMNS).where(outbox.c.key == key, outbox.c.part == part)).first()
    return _row(row) if row else None


def waiting(db: Connection, conversation_id: int) -> list[OutboxRow]:
    """What is still to be sent or being sent, in order."""
    rows = db.execute(
        select(*_COLUMNS)
        .where(outbox.c.conversation_id == conversation_id, outbox.c.state.in_(WAITING))
        .order_by(outbox.c.id)
    )
    return [_row(row) for row in rows]


def with_waiting(db: Connection) -> list[tuple[int, int]]:
    """(conversation, account) of all that have something to be sent."""
    rows = db.execute(
        select(conversation.c.id, conversation.c.account_id)
        .where(conversation.c.id.in_(select(outbox.c.conversation_id).where(outbox.c.state.in_(WAITING))))
        .order_by(conversation.c.id)
    )
    return [(int(id_), int(account_id)) for id_, account_id in rows]


def in_state(db: Connection, conversation_id: int, state: str) -> list[OutboxRow]:
    rows = db.execute(
        select(*_COLUMNS)
        .where(outbox.c.conversation_id == conversation_id, outbox.c.state == state)
        .order_by(outbox.c.id)
    )
    return [_row(row) for row in rows]


def settle(db: Connection, outbox_id: int, expected: str, **values: Any) -> bool:
    """Changes a row that is in the expected state; False when it is not any more."""
    done = db.execute(update(outbox).where(outbox.c.id == outbox_id, outbox.c.state == expected).values(**values))
    return done.rowcount == 1


def settle_waiting(db: Connection, conversation_id: int, classes: tuple[str, ...], **values: Any) -> int:
    """Changes all rows of these classes that no one is sending yet; gives how many."""
    done = db.execute(
        update(outbox)
        .where(
            outbox.c.conversation_id == conversation_id,
            outbox.c.class_.in_(classes),
            outbox.c.state.in_(("pending", "retry")),
        )
        .values(**values)
    )
    return int(done.rowcount)


def supersede_topic(db: Connection, conversation_id: int, topic: str, before: int) -> None:
    """Older courtesies of the same topic give way to the row `before`."""
    db.execute(
        update(outbox)
        .where(
            outbox.c.conversation_id == conversation_id,
            outbox.c.class_ == "courtesy",
            outbox.c.topic == topic,
            outbox.c.id < before,
            outbox.c.state.in_(("pending", "retry")),
        )
        .values(state="superseded", reason="newer")
    )


def drop_unsent(db: Connection, conversation_id: int, *, reason: str) -> int:
    """Everything that has not left us is superseded, whatever its class; gives how many."""
    done = db.execute(
        update(outbox)
        .where(outbox.c.conversation_id == conversation_id, outbox.c.state.in_(("pending", "retry", "held")))
        .values(state="superseded", reason=reason)
    )
    return int(done.rowcount)


def release_held(db: Connection, conversation_id: int, reason: str) -> int:
    """Rows held for this reason are due now; gives how many."""
    done = db.execute(
        update(outbox)
        .where(
            outbox.c.conversation_id == conversation_id,
            outbox.c.state == "held",
            outbox.c.reason == reason,
        )
        .values(state="pending", reason="", due_at=db_now())
    )
    return int(done.rowcount)


def stream_after(db: Connection, conversation_id: int, after: int, limit: int = 200) -> list[OutboxRow]:
    """What a pulled channel's customer has not fetched yet."""
    rows = db.execute(
        select(*_COLUMNS)
        .where(outbox.c.conversation_id == conversation_id, outbox.c.stream > after)
        .order_by(outbox.c.stream)
        .limit(limit)
    )
    return [_row(row) for row in rows]


def history(db: Connection, conversation_id: int) -> list[OutboxRow]:
    """Everything written for this conversation, whatever became of it."""
    rows = db.execute(select(*_COLUMNS).where(outbox.c.conversation_id == conversation_id).order_by(outbox.c.id))
    return [_row(row) for row in rows]
