"""Where personal data can be: the one list that erasing, exporting, retention and the canary tests read.

A column that can hold what people wrote is listed here with how its rows are found and what stands there after
erasing; `IMPERSONAL` names those that look as if they could and cannot. A test compares both with the tables.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    String,
    Table,
    cast,
    delete,
    func,
    literal,
    or_,
    select,
    update,
)

from bot.store.blobs import blob, blob_chunk
from bot.store.complaints import complaint
from bot.store.conversations import conversation
from bot.store.desk_actions import desk_action
from bot.store.inbox import attachment, inbox
from bot.store.outbox import outbox
from bot.store.people import identity, personal_value
from bot.store.ratings import rating
from bot.store.tickets import local_entry, local_ticket
from bot.store.turns import turn
from bot.store.webchat import webchat_session

Identities = Sequence[int]
Ids = Select[tuple[Any]]


@dataclass(frozen=True)
class Place:
    """A table with personal data.

    `whose` selects the rows of some identities. `blank` maps each personal column to what stands there after
    erasing; with `goes` the whole row goes. `withheld` columns prove or find somebody and are never handed out.
    """

    table: Table
    whose: Callable[[Identities], ColumnElement[bool]]
    blank: Mapping[str, Any]
    also: Mapping[str, Any] = field(default_factory=dict)  # not personal, but wrong once the rest is gone
    goes: bool = False
    withheld: frozenset[str] = frozenset()

    @property
    def columns(self) -> frozenset[str]:
        return frozenset(self.blank)

    def rows(self, db: Connection, identities: Identities) -> list[Mapping[str, Any]]:
        """The whole rows, by column name, in the order in which they were made."""
        key = list(self.table.primary_key.columns)
        found = db.execute(select(self.table).where(self.whose(identities)).order_by(*key))
        return [dict(row._mapping) for row in found]

    def erase(self, db: Connection, keys: Sequence[Any]) -> int:
        """Blanks or removes the rows with these values in the first column of the primary key; gives how many."""
        named = next(iter(self.table.primary_key.columns)).in_(keys)
        change = delete(self.table) if self.goes else update(self.table).values({**self.blank, **self.also})
        return int(db.execute(change.where(named)).rowcount)

    def keys(self, db: Connection, identities: Identities) -> list[Any]:
        key = next(iter(self.table.primary_key.columns))
        return list(db.scalars(select(key).where(self.whose(identities)).distinct()))


def _conversations(identities: Identities) -> Ids:
    return select(conversation.c.id).where(conversation.c.identity_id.in_(identities))


def _complaints(column: str, identities: Identities) -> Ids:
    return select(complaint.c[column]).where(complaint.c.identity_id.in_(identities))


def _blobs(identities: Identities) -> Ids:
    files = attachment.c.conversation_id.in_(_conversations(identities))
    return select(attachment.c.blob_id).where(files, attachment.c.blob_id.is_not(None))


def _local_tickets(identities: Identities) -> Ids:
    return select(local_ticket.c.id).where(local_ticket.c.reference.in_(_complaints("reference", identities)))


def _in_conversation(table: Table) -> Callable[[Identities], ColumnElement[bool]]:
    return lambda identities: table.c.conversation_id.in_(_conversations(identities))


def _of_complaint(table: Table) -> Callable[[Identities], ColumnElement[bool]]:
    return lambda identities: table.c.complaint_id.in_(_complaints("id", identities))


def _erased(table: Table) -> ColumnElement[str]:
    """Unique as what it replaces was, and says nothing."""
    return literal("erased:") + cast(table.c.id, String)


# In the order in which they are erased: what refers to a row before the row. Keys are found before anything changes.
PLACES: Sequence[Place] = (
    Place(inbox, _in_conversation(inbox), {"text": "", "payload": "", "raw": {}, "event_key": _erased(inbox)}),
    Place(
        attachment,
        _in_conversation(attachment),
        {"channel_ref": "", "name": ""},
        also={"blob_id": None, "state": "refused", "reason": "erased"},
    ),
    Place(
        blob_chunk,
        lambda who: blob_chunk.c.blob_id.in_(_blobs(who)),
        {"content": b""},
        goes=True,
        withheld=frozenset({"content"}),  # handed out as files
    ),
    Place(blob, lambda who: blob.c.id.in_(_blobs(who)), {"sha256": ""}, goes=True),
    Place(turn, _in_conversation(turn), {"text": "", "payload": None}),
    Place(outbox, _in_conversation(outbox), {"text": "", "args": {}}, also={"text_key": "", "buttons": []}),
    Place(conversation, conversation.c.identity_id.in_, {"dialogue": {}, "question": None}),
    Place(desk_action, _of_complaint(desk_action), {"args": {}}),
    Place(rating, _of_complaint(rating), {"reason": ""}),
    Place(local_entry, lambda who: local_entry.c.local_ticket_id.in_(_local_tickets(who)), {"note": ""}),
    Place(local_ticket, lambda who: local_ticket.c.id.in_(_local_tickets(who)), {"summary": ""}),
    Place(
        complaint,
        complaint.c.identity_id.in_,
        {"fields": {}, "receipt_code_hash": ""},
        withheld=frozenset({"receipt_code_hash"}),
    ),
    Place(
        personal_value,
        personal_value.c.identity_id.in_,
        {"sealed": b"", "lookup": ""},
        goes=True,
        withheld=frozenset({"lookup"}),
    ),
    Place(
        webchat_session,
        lambda who: webchat_session.c.visitor.in_(select(identity.c.external_id).where(identity.c.id.in_(who))),
        {"visitor": "", "token_hash": ""},
        goes=True,
        withheld=frozenset({"token_hash"}),
    ),
    Place(identity, identity.c.id.in_, {"external_id": _erased(identity)}),
)

PERSONAL: Mapping[str, frozenset[str]] = {place.table.name: place.columns for place in PLACES}

# Columns of free form that hold our own words only: labels, ids, settings, people at work.
IMPERSONAL: Mapping[str, frozenset[str]] = {
    "app_user": frozenset({"password_hash"}),
    "audit": frozenset({"refs"}),
    "channel_account": frozenset({"settings", "secret", "previous_secret"}),
    "cursor": frozenset({"position"}),
    "fact": frozenset({"refs"}),
    "outbox": frozenset({"buttons"}),
}


def everything_of(db: Connection, identities: Identities) -> Mapping[str, list[Mapping[str, Any]]]:
    """Table -> rows, all columns that may be handed out."""
    return {
        place.table.name: [
            {name: value for name, value in row.items() if name not in place.withheld}
            for row in place.rows(db, identities)
        ]
        for place in PLACES
    }


def erase(db: Connection, identities: Identities) -> Mapping[str, int]:
    """Blanks or removes everything of these identities; table -> rows touched."""
    found = [(place, place.keys(db, identities)) for place in PLACES]
    return {place.table.name: place.erase(db, keys) for place, keys in found if keys}


def silent_since(db: Connection, before: datetime, done: Sequence[str], limit: int) -> list[int]:
    """Identities that have not written since then, with no complaint open or changed since; `done`: states that are not open."""
    heard = func.coalesce(conversation.c.last_inbound_at, conversation.c.created_at)
    alive = select(complaint.c.identity_id).where(or_(complaint.c.state.not_in(done), complaint.c.state_at >= before))
    rows = db.scalars(
        select(identity.c.id)
        .join(conversation, conversation.c.identity_id == identity.c.id)
        .where(heard < before, identity.c.external_id.not_like("erased:%"), identity.c.id.not_in(alive))
        .order_by(identity.c.id)
        .limit(limit)
    )
    return [int(one) for one in rows]
