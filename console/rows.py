"""What a list shows about each conversation, gathered for all of them in a few queries."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, func, select

from bot.sealing import Seal
from bot.store.accounts import channel_account
from bot.store.complaints import complaint, complaint_link
from bot.store.conversations import Conversation
from bot.store.inbox import OPEN, WISH, inbox
from bot.store.people import personal_value
from bot.store.users import app_user


@dataclass(frozen=True)
class Row:
    """One line of the inbox. `waits_since` is when the oldest unanswered message came."""

    conversation: Conversation
    channel: str
    customer: str
    owner: str
    said: str
    unanswered: int
    waits_since: datetime | None
    category: str
    reference: str


def gather(db: Connection, seal: Seal, found: Sequence[Conversation]) -> list[Row]:
    """Rows in the order of `found`."""
    if not found:
        return []
    ids = [c.id for c in found]
    channels = _pairs(db, select(channel_account.c.id, channel_account.c.kind))
    names = _names(db, seal, [c.identity_id for c in found])
    owners = _pairs(db, select(app_user.c.id, app_user.c.name).where(app_user.c.id.in_(_owners(found))))
    words, open_, filed = _last_words(db, ids), _unanswered(db, ids), _complaints(db, ids)
    return [
        Row(
            conversation=c,
            channel=channels.get(c.account_id, ""),
            customer=names.get(c.identity_id, ""),
            owner=owners.get(c.owner_id, ""),
            said=words.get(c.id, ""),
            unanswered=open_.get(c.id, (0, None))[0],
            waits_since=open_.get(c.id, (0, None))[1],
            category=filed.get(c.id, ("", ""))[0],
            reference=filed.get(c.id, ("", ""))[1],
        )
        for c in found
    ]


def _owners(found: Iterable[Conversation]) -> list[int]:
    return [c.owner_id for c in found if c.owner_id is not None]


def _pairs(db: Connection, statement: Any) -> dict[Any, Any]:
    return {row[0]: row[1] for row in db.execute(statement)}


def _names(db: Connection, seal: Seal, identities: list[int]) -> dict[int, str]:
    """The newest display name that the channel gave for each identity."""
    rows = db.execute(
        select(personal_value.c.identity_id, personal_value.c.sealed)
        .where(personal_value.c.identity_id.in_(identities), personal_value.c.kind == "name")
        .order_by(personal_value.c.id)
    )
    return {row.identity_id: seal.open(row.sealed) for row in rows}


def _last_words(db: Connection, ids: list[int]) -> dict[int, str]:
    """What the customer said last, not counting the wish for a person; the wish if there is nothing else."""
    spoken: dict[int, str] = {}
    for wishes in (True, False):
        conditions = [inbox.c.conversation_id.in_(ids), inbox.c.text != ""]
        if not wishes:
            conditions.append(inbox.c.disposition != WISH)
        newest = (
            select(inbox.c.conversation_id, func.max(inbox.c.sequence).label("sequence"))
            .where(*conditions)
            .group_by(inbox.c.conversation_id)
            .subquery()
        )
        same = and_(inbox.c.conversation_id == newest.c.conversation_id, inbox.c.sequence == newest.c.sequence)
        spoken |= _pairs(db, select(inbox.c.conversation_id, inbox.c.text).join(newest, same))
    return spoken


def _unanswered(db: Connection, ids: list[int]) -> dict[int, tuple[int, datetime]]:
    rows = db.execute(
        select(inbox.c.conversation_id, func.count(), func.min(inbox.c.received_at))
        .where(inbox.c.conversation_id.in_(ids), inbox.c.disposition == OPEN)
        .group_by(inbox.c.conversation_id)
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def _complaints(db: Connection, ids: list[int]) -> dict[int, tuple[str, str]]:
    """(category, reference) of the newest complaint of each conversation."""
    rows = db.execute(
        select(complaint_link.c.conversation_id, complaint.c.category, complaint.c.reference)
        .join(complaint, complaint.c.id == complaint_link.c.complaint_id)
        .where(complaint_link.c.conversation_id.in_(ids))
        .order_by(complaint.c.id)
    )
    return {row[0]: (row[1], row[2]) for row in rows}
