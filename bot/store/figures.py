"""The questions behind /metrics. Each reads an index that holds little more than what it counts (a test explains them)."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, Connection, Table, and_, func, literal_column, select, text

from bot.store.accounts import cursor
from bot.store.conversations import LEASED, SEND_LEASED, conversation
from bot.store.facts import fact
from bot.store.inbox import inbox
from bot.store.outbox import UNSETTLED, outbox
from bot.store.tickets import UNOPENED, ticket
from bot.store.turns import UNFINISHED, turn

# What is counted of the log of facts: things that should be rare, and two that show that work is done.
KINDS = (
    "message.received", "turn.done", "turn.stale", "turn.dead", "outbox.sent", "outbox.uncertain", "outbox.dead",
    "ticket.opened", "ticket.uncertain", "ticket.refused", "wait.ended", "tap.stale",
)  # fmt: skip
LATELY = timedelta(minutes=5)

_open_message = inbox.c.disposition == literal_column("'open'")


def open_messages(db: Connection) -> Mapping[str, int]:
    """State of the conversation -> messages that nobody has taken."""
    return _counts(
        db,
        select(conversation.c.state, func.count())
        .select_from(inbox.join(conversation, conversation.c.id == inbox.c.conversation_id))
        .where(_open_message)
        .group_by(conversation.c.state),
    )


def oldest_open_message(db: Connection) -> datetime | None:
    """When the oldest message came that the bot has still to answer."""
    return _moment(
        db,
        select(inbox.c.received_at)
        .join(conversation, conversation.c.id == inbox.c.conversation_id)
        .where(_open_message, conversation.c.state == "bot")
        .order_by(inbox.c.received_at)
        .limit(1),
    )


def oldest_due_work(db: Connection) -> datetime | None:
    """Since when the conversation waits that no worker has looked at for longest."""
    return _moment(db, select(func.min(conversation.c.work_at)))


def oldest_due_send(db: Connection) -> datetime | None:
    return _moment(db, select(func.min(conversation.c.send_at)))


def turns(db: Connection) -> Mapping[str, int]:
    """open, failing (open, and Rasa had no result at least once) and dead turns; finished ones are not counted."""
    failing = and_(turn.c.state == "open", turn.c.attempts > 0)
    row = db.execute(
        select(
            func.count().filter(turn.c.state == "open"),
            func.count().filter(failing),
            func.count().filter(turn.c.state == "dead"),
        ).where(text(UNFINISHED))
    ).one()
    return dict(zip(("open", "failing", "dead"), map(int, row), strict=True))


def unsettled(db: Connection) -> Mapping[tuple[str, str], int]:
    """(class, state) -> outgoing messages; what is sent or superseded is not counted."""
    rows = db.execute(
        select(outbox.c.class_, outbox.c.state, func.count())
        .where(text(UNSETTLED))
        .group_by(outbox.c.state, outbox.c.class_)
    )
    return {(class_, state): int(count) for class_, state, count in rows}


def unopened_tickets(db: Connection) -> Mapping[str, int]:
    return _counts(db, select(ticket.c.state, func.count()).where(text(UNOPENED)).group_by(ticket.c.state))


def oldest_unopened_ticket(db: Connection) -> datetime | None:
    return _moment(db, select(func.min(ticket.c.created_at)).where(text(UNOPENED), ticket.c.due_at.is_not(None)))


def conversations(db: Connection) -> Mapping[str, int]:
    return _counts(db, select(conversation.c.state, func.count()).group_by(conversation.c.state))


def oldest_queued(db: Connection) -> datetime | None:
    return _moment(db, select(func.min(conversation.c.queued_at)).where(conversation.c.state == "queued"))


def expired_leases(db: Connection, clock: datetime) -> Mapping[str, tuple[int, datetime | None]]:
    """Kind of lease -> how many ran out without being given back, and when the first did: their holders died."""
    return {
        "turn": _expired(db, conversation, conversation.c.lease_until, LEASED, clock),
        "send": _expired(db, conversation, conversation.c.send_lease_until, SEND_LEASED, clock),
        "ticket": _expired(db, ticket, ticket.c.lease_until, UNOPENED, clock),
    }


def _expired(
    db: Connection, table: Table, until: Column[Any], held: str, clock: datetime
) -> tuple[int, datetime | None]:
    row = db.execute(select(func.count(), func.min(until)).select_from(table).where(text(held), until < clock)).one()
    return int(row[0]), row[1]


def sources(db: Connection) -> Mapping[str, tuple[datetime, datetime | None]]:
    """Polled source -> when it last had news for us, and until when somebody reads it."""
    rows = db.execute(select(cursor.c.source, cursor.c.updated_at, cursor.c.lease_until))
    return {source: (updated_at, until) for source, updated_at, until in rows if ":" in source}


def lately(db: Connection, clock: datetime) -> Mapping[str, int]:
    """Kind of fact -> how many of the last LATELY."""
    counted = _counts(
        db,
        select(fact.c.kind, func.count())
        .where(fact.c.kind.in_(KINDS), fact.c.occurred_at > clock - LATELY)
        .group_by(fact.c.kind),
    )
    return {kind: counted.get(kind, 0) for kind in KINDS}


def _counts(db: Connection, statement: Any) -> Mapping[str, int]:
    return {str(name): int(count) for name, count in db.execute(statement)}


def _moment(db: Connection, statement: Any) -> datetime | None:
    found: datetime | None = db.scalar(statement)
    return found
