"""Dead letters and uncertain sends, wherever they lie: one question over all tables that can have one.

A letter is no row of its own: it is the message, turn, ticket, file, event or change that stopped, for as long as
its table's `LETTER` words are true of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, String, Table, case, exists, func, literal, null, or_, select, text, update
from sqlalchemy.sql.elements import ColumnElement

from bot.store import inbox as inbox_store
from bot.store import outbox as outbox_store
from bot.store import tickets as ticket_store
from bot.store import turns as turn_store
from bot.store.complaints import complaint_link
from bot.store.inbox import attachment, inbox
from bot.store.outbox import outbox
from bot.store.schema import Id
from bot.store.tickets import desk_change, ticket
from bot.store.turns import turn

RECEIPTS = ("receipt", "receipt_repeat")


@dataclass(frozen=True)
class Letter:
    """One thing that stopped. `kind` and `id` name it; nothing in it is a customer's word."""

    kind: str
    id: int
    state: str  # dead, uncertain, refused, malformed
    reason: str
    topic: str  # what it is about: a message's topic or class, a file's kind, a ticket's desk …
    attempts: int
    conversation_id: int | None
    complaint_id: int | None
    at: datetime  # when it stopped

    @property
    def name(self) -> str:
        """How people and commands call it."""
        return f"{self.kind}-{self.id}"


@dataclass(frozen=True)
class Which:
    """What to look at: everything, or what is of a kind, stopped since then, or belongs to a conversation."""

    kind: str = ""
    since: datetime | None = None
    conversation_id: int | None = None


# kind -> its table, and which rows of it are letters.
TABLES: Mapping[str, tuple[Table, str]] = {
    "message": (outbox, outbox_store.LETTER),
    "turn": (turn, turn_store.LETTER),
    "ticket": (ticket, ticket_store.LETTER),
    "file": (attachment, inbox_store.FILE_LETTER),
    "event": (inbox, inbox_store.LETTER),
    "change": (desk_change, ticket_store.CHANGE_LETTER),
}

_NOTHING = literal(0, Id)


def _columns(kind: str, table: Table, **values: ColumnElement[Any]) -> Select[Any]:
    """One kind's rows in the shape of Letter."""
    given: dict[str, ColumnElement[Any]] = {
        "kind": literal(kind, String(16)),
        "id": table.c.id,
        "attempts": _NOTHING,
        "conversation_id": null().cast(Id),
        "complaint_id": null().cast(Id),
        "urgency": literal(2),
    }
    filled = given | values
    return select(*(filled[name].label(name) for name in (*Letter.__dataclass_fields__, "urgency"))).select_from(table)


def _messages() -> Select[Any]:
    c = outbox.c
    return _columns(
        "message",
        outbox,
        state=c.state,
        reason=c.reason,
        topic=case((c.topic != "", c.topic), else_=c.class_),
        attempts=c.attempts,
        conversation_id=c.conversation_id,
        at=func.coalesce(c.stopped_at, c.created_at),
        urgency=case((c.topic.in_(RECEIPTS), 0), (c.class_ == "agent", 1), else_=2),
    )


def _turns() -> Select[Any]:
    c = turn.c
    return _columns(
        "turn",
        turn,
        state=c.state,
        reason=c.reason,
        topic=literal("turn"),
        attempts=c.starts,
        conversation_id=c.conversation_id,
        at=func.coalesce(c.finished_at, c.created_at),
        urgency=literal(1),
    )


def _tickets() -> Select[Any]:
    c = ticket.c
    came_from = select(func.min(complaint_link.c.conversation_id)).where(
        complaint_link.c.complaint_id == c.complaint_id
    )
    return _columns(
        "ticket",
        ticket,
        state=c.state,
        reason=c.reason,
        topic=c.desk,
        attempts=c.attempts,
        conversation_id=came_from.scalar_subquery(),
        complaint_id=c.complaint_id,
        at=func.coalesce(c.stopped_at, c.created_at),
        urgency=literal(1),
    )


def _files() -> Select[Any]:
    c = attachment.c
    return _columns(
        "file",
        attachment,
        state=c.state,
        reason=c.reason,
        topic=c.kind,
        attempts=c.attempts,
        conversation_id=c.conversation_id,
        at=c.stopped_at,
    )


def _events() -> Select[Any]:
    c = inbox.c
    return _columns(
        "event",
        inbox,
        state=c.kind,
        reason=c.detail,
        topic=literal("event"),
        conversation_id=c.conversation_id,
        at=c.received_at,
    )


def _changes() -> Select[Any]:
    c = desk_change.c
    return _columns("change", desk_change, state=literal("dead"), reason=c.reason, topic=c.desk, at=c.taken_at)


_ROWS = {
    "message": _messages,
    "turn": _turns,
    "ticket": _tickets,
    "file": _files,
    "event": _events,
    "change": _changes,
}


# A dead turn is nobody's worry any more once a person, or a later turn, has answered its messages.
_UNANSWERED = exists().where(
    inbox.c.conversation_id == turn.c.conversation_id,
    inbox.c.sequence.between(turn.c.first_sequence, turn.c.last_sequence),
    or_(inbox.c.disposition == inbox_store.OPEN, inbox.c.turn_id == turn.c.id),
)


def _open(kind: str) -> Select[Any]:
    rows = _ROWS[kind]().where(text(TABLES[kind][1]))
    return rows.where(_UNANSWERED) if kind == "turn" else rows


def _chosen(which: Which) -> Any:
    """All letters asked for, as a subquery."""
    kinds = [which.kind] if which.kind else list(TABLES)
    first, *others = (_open(kind) for kind in kinds)
    return first.union_all(*others).subquery()


def _conditions(rows: Any, which: Which) -> list[ColumnElement[bool]]:
    found = []
    if which.since is not None:
        found.append(rows.c.at >= which.since)
    if which.conversation_id is not None:
        found.append(rows.c.conversation_id == which.conversation_id)
    return found


def find(db: Connection, which: Which, *, limit: int = 200, after: int = 0) -> list[Letter]:
    """What matters most first (receipts, then what an agent or a customer waits for), the newest of each first."""
    rows = _chosen(which)
    statement = (
        select(*(rows.c[name] for name in Letter.__dataclass_fields__))
        .where(*_conditions(rows, which))
        .order_by(rows.c.urgency, rows.c.at.desc(), rows.c.kind, rows.c.id.desc())
        .limit(limit)
        .offset(after)
    )
    return [Letter(**row._mapping) for row in db.execute(statement)]


def counts(db: Connection, which: Which) -> dict[str, int]:
    """Kind -> how many; kinds without any are left out."""
    rows = _chosen(which)
    statement = select(rows.c.kind, func.count()).where(*_conditions(rows, which)).group_by(rows.c.kind)
    return {row[0]: row[1] for row in db.execute(statement)}


def read(db: Connection, kind: str, letter_id: int) -> Letter | None:
    """One that stopped once, whatever became of it since; None when there is no such row."""
    row = db.execute(_ROWS[kind]().where(TABLES[kind][0].c.id == letter_id)).first()
    if row is None:
        return None
    return Letter(**{name: row._mapping[name] for name in Letter.__dataclass_fields__})


def take(db: Connection, kind: str, letter_id: int, **values: Any) -> bool:
    """Compare-and-set on its being a letter: False when somebody was faster, or it has arrived meanwhile."""
    table, is_letter = TABLES[kind]
    done = db.execute(update(table).where(table.c.id == letter_id, text(is_letter)).values(**values))
    return done.rowcount == 1


def details(db: Connection, kind: str, letter_id: int) -> dict[str, Any]:
    """The row's own columns but those with people's words."""
    table = TABLES[kind][0]
    shown = [column for column in table.columns if column.name in _SHOWN]
    row = db.execute(select(*shown).where(table.c.id == letter_id)).one()
    return {name: value for name, value in row._mapping.items() if value not in (None, "")}


_SHOWN = frozenset(
    {
        *("class_", "topic", "epoch", "part", "text_key", "pieces_sent", "turn_id", "author_id", "intent", "desk"),
        *("first_sequence", "last_sequence", "starts", "deaths", "kind", "mime", "detail", "sequence", "reference"),
        *("created_at", "received_at", "due_at", "sending_at", "sent_at", "stopped_at", "replayed_at", "discarded_at"),
        *("ticket_id", "state", "reason", "attempts"),
    }
)
