"""Accepts what comes in: one transaction, then the bell. After the commit it is ours to answer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from bot import conversation as ownership
from bot import emergency, facts, language, outbox, wishes
from bot.alarms import Alarms
from bot.bell import Bell
from bot.channel import Account
from bot.errors import LeaseLost
from bot.faults import Faults, Moment
from bot.handoff import Handoff
from bot.masking import mask_id_cards
from bot.measures import Measures
from bot.message import TURN_KINDS, Incoming, Kind
from bot.sealing import Seal
from bot.store import conversations, cursors, leases, people
from bot.store import inbox as store
from bot.store.conversations import Conversation
from bot.store.database import Database

HUMAN = "human"  # these two payloads work from any message, at any time
STOP_WAITING = "stop_waiting"
_WITH_WORDS = (Kind.TEXT, Kind.MEDIA, Kind.EDIT, Kind.OTHER)  # OTHER: the caption of a file that we cannot read
LONGEST_TEXT = 20_000  # characters kept; platforms allow less, our own API far less


@dataclass(frozen=True)
class Accepted:
    """What became of an event when it was committed."""

    duplicate: bool
    conversation_id: int | None = None
    sequence: int | None = None
    disposition: str = ""


class Inbox:
    """The one way in for customers' events."""

    def __init__(
        self,
        database: Database,
        bell: Bell,
        seal: Seal,
        handoff: Handoff,
        alarms: Alarms,
        faults: Faults,
        measures: Measures,
    ) -> None:
        self._database = database
        self._bell = bell
        self._seal = seal
        self._handoff = handoff
        self._alarms = alarms
        self._faults = faults
        self._measures = measures

    def accept(self, account: Account, incoming: Incoming) -> Accepted:
        """Returns after the commit; the same event again changes nothing."""
        with self._measures.accepting(account.kind), self._database.write() as db:
            accepted = self._accept(db, account, incoming)
            self._faults.at(Moment.ACCEPT_BEFORE_COMMIT)
        self._faults.at(Moment.ACCEPT_AFTER_COMMIT)
        self._announce()
        return accepted

    def accept_batch(
        self, account: Account, events: Sequence[Incoming], position: tuple[str, int, str] | None = None
    ) -> list[Accepted]:
        """Events and the new cursor in one commit. Raises LeaseLost when another poller has taken over."""
        with self._database.write() as db:
            if position is not None and not cursors.advance(db, *position):
                raise LeaseLost(position[0])
            accepted = [self._accept(db, account, event) for event in events]
            self._faults.at(Moment.FETCH_BEFORE_COMMIT)
        self._faults.at(Moment.FETCH_AFTER_COMMIT)
        if events:
            self._announce()
        return accepted

    def _announce(self) -> None:
        for topic in ("work", "send", "live"):
            self._bell.ring(topic)

    def _accept(self, db: Connection, account: Account, incoming: Incoming) -> Accepted:
        if not incoming.sender:
            return self._record_only(db, account, incoming)
        identity = people.ensure_identity(db, account.id, incoming.sender)
        found = conversations.ensure(db, identity.id, account.id, language.from_tag(incoming.language))
        text = _clean(incoming.text)
        inbox_id = self._insert(db, account, incoming, found, text)
        if inbox_id is None:
            return _duplicate(db, account, incoming)
        found = self._note_arrival(db, found, incoming, text)
        disposition = self._place(db, found, incoming, text, inbox_id)
        store.place(db, inbox_id, disposition=disposition)
        return Accepted(False, found.id, found.next_sequence - 1, disposition)

    def _insert(
        self, db: Connection, account: Account, incoming: Incoming, found: Conversation, text: str
    ) -> int | None:
        inbox_id = store.add(
            db,
            conversation_id=found.id,
            sequence=found.next_sequence,
            text=text,
            payload=incoming.payload[:256],
            disposition=store.RECORDED,
            **_common(db, account, incoming),
        )
        if inbox_id is not None and incoming.attachments:
            store.add_attachments(
                db,
                inbox_id,
                found.id,
                [
                    {
                        "kind": a.kind,
                        "channel_ref": a.channel_ref,
                        "name": a.name[:255],
                        "mime": a.mime[:127],
                        "blob_id": a.blob_id,
                    }
                    for a in incoming.attachments
                ],
            )
        return inbox_id

    def _record_only(self, db: Connection, account: Account, incoming: Incoming) -> Accepted:
        row = store.add(
            db, text=_clean(incoming.text), payload="", disposition=store.RECORDED, **_common(db, account, incoming)
        )
        return Accepted(row is None, disposition=store.RECORDED)

    def _note_arrival(self, db: Connection, found: Conversation, incoming: Incoming, text: str) -> Conversation:
        changes: dict[str, Any] = {"next_sequence": found.next_sequence + 1}
        if incoming.kind in TURN_KINDS:
            changes["last_inbound_at"] = conversations.now(db)
            changes["language"] = language.detect(text, found.language)
        conversations.change(db, found.id, **changes)
        if incoming.display_name:
            name = _clean(incoming.display_name)[:128]
            people.keep_value(
                db,
                found.identity_id,
                "name",
                sealed=self._seal.seal(name),
                lookup=self._seal.digest("name", name),
            )
        facts.record(
            db,
            "message.received",
            actor="customer",
            conversation_id=found.id,
            sequence=found.next_sequence,
            message=incoming.kind.value,
        )
        return replace(found, **changes)

    def _place(self, db: Connection, found: Conversation, incoming: Incoming, text: str, inbox_id: int) -> str:
        """Decides the disposition, and does what the message asks for at once."""
        occasion = f"{inbox_id}"
        kind = emergency.danger(text) if incoming.kind in _WITH_WORDS and not incoming.payload else ""
        if kind and found.state != "agent":
            return self._alarms.raise_for(db, found, kind, text, inbox_id)
        if wishes_person(incoming, text) and found.state != "agent":
            return self._wish(db, found, occasion)
        if found.state == "queued" and _stops_waiting(incoming, text):
            return self._stop_waiting(db, found, occasion)
        if incoming.kind is Kind.EDIT:
            return self._edit(db, found, incoming, text, occasion)
        if incoming.kind not in TURN_KINDS:
            return self._not_a_turn(db, found, incoming, occasion)
        if incoming.payload in (HUMAN, STOP_WAITING):
            return store.STALE_TAP  # already with a person, or not waiting
        return self._open(db, found, incoming)

    def _wish(self, db: Connection, found: Conversation, occasion: str) -> str:
        if found.state == "queued":
            ownership.tell_position(db, found, occasion)
        else:
            self._handoff.to_person(db, found, "wish", occasion, actor="customer")
        return store.WISH

    def _stop_waiting(self, db: Connection, found: Conversation, occasion: str) -> str:
        back = ownership.move(db, found, "bot", "stopped waiting", actor="customer")
        outbox.notice(db, back, f"left:{occasion}", "handoff", "queue.left")
        outbox.repeat_question(db, back, f"left:{occasion}")
        leases.wake(db, back.id)
        return store.STOP_WAITING

    def _edit(self, db: Connection, found: Conversation, incoming: Incoming, text: str, occasion: str) -> str:
        """Before its turn is fixed an edit replaces the text there; a later one is shown and answered."""
        original = store.by_key(db, found.account_id, incoming.replaces)
        if original is None or original.conversation_id != found.id:
            return store.RECORDED
        if original.disposition == store.OPEN and not store.in_open_turn(db, found.id, original.sequence):
            store.place(db, original.id, text=text)
            return store.REPLACED
        if found.state == "bot":
            outbox.courtesy(db, found, f"edit:{occasion}", "edit", "system.edit_again")
        return store.RECORDED

    def _not_a_turn(self, db: Connection, found: Conversation, incoming: Incoming, occasion: str) -> str:
        if not incoming.wants_answer:
            return store.RECORDED
        outbox.courtesy(
            db,
            found,
            f"unsupported:{occasion}",
            "unsupported",
            "system.unsupported",
            buttons=[{"payload": HUMAN, "key": "button.human"}],
        )
        return store.UNSUPPORTED

    def _open(self, db: Connection, found: Conversation, incoming: Incoming) -> str:
        if found.state == "closed":
            ownership.move(db, found, "bot", "customer wrote", actor="customer")
        if found.state in ("queued", "agent") and incoming.kind is Kind.TAP:
            return store.STALE_TAP
        if found.state in ("bot", "closed") or incoming.attachments:
            leases.wake(db, found.id)
        return store.OPEN


def _common(db: Connection, account: Account, incoming: Incoming) -> dict[str, object]:
    return {
        "account_id": account.id,
        "event_key": incoming.event_key,
        "kind": incoming.kind.value,
        "raw": dict(incoming.raw),
        "detail": incoming.detail[:128],
        "platform_time": incoming.platform_time,
        "received_at": conversations.now(db),
    }


def _duplicate(db: Connection, account: Account, incoming: Incoming) -> Accepted:
    row = store.by_key(db, account.id, incoming.event_key)
    if row is None:
        raise RuntimeError("an event was refused that is not there")
    return Accepted(True, row.conversation_id, row.sequence, row.disposition)


def _clean(text: str) -> str:
    """What every database can keep: no NUL, no lone surrogates, no ID-card number, bounded."""
    kept = text.replace("\x00", "")[:LONGEST_TEXT]
    return mask_id_cards(kept.encode("utf-8", "replace").decode("utf-8"))


def wishes_person(incoming: Incoming, text: str | None = None) -> bool:
    """Whether this event asks for a person. `text`: as it is kept, if it has been cleaned already."""
    text = _clean(incoming.text) if text is None else text
    if incoming.payload:
        return incoming.kind is Kind.TAP and incoming.payload == HUMAN
    return incoming.kind in _WITH_WORDS and wishes.asks_for_person(text)


def _stops_waiting(incoming: Incoming, text: str) -> bool:
    if incoming.payload:
        return incoming.kind is Kind.TAP and incoming.payload == STOP_WAITING
    return incoming.kind is Kind.TEXT and wishes.stops_waiting(text)
