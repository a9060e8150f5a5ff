"""Complaints: filing with a receipt at once, true status, and what the desk changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from bot import facts, outbox, reference
from bot.bell import Bell
from bot.desk import Change, Desk, TicketState
from bot.errors import DeskDown, LeaseLost
from bot.faults import Faults, Moment
from bot.sealing import Seal
from bot.store import complaints as store
from bot.store import conversations, cursors, people, tickets
from bot.store import facts as fact_store
from bot.store import users as user_store
from bot.store.complaints import Complaint
from bot.store.conversations import Conversation
from bot.store.database import Database
from bot.store.turns import TurnRow
from bot.store.users import User

SHOWN_AT_ONCE = 3  # complaints in one status answer
WRONG_GUESSES_PER_HOUR = 5  # per customer; after that even a right code is not looked at
WRONG_GUESSES_PER_REFERENCE = 20  # per day, over all customers
DESK_SILENT_AFTER = timedelta(minutes=5)

# Money or identity in danger goes first; total loss of service next (reference/nlu.md 5.5, urgency signals).
_SEVERITY = {"security.fraud_identity": "high", "security.privacy_leak": "high", "broadband.disconnection": "medium"}


@dataclass(frozen=True)
class Draft:
    """What is known when a complaint is filed. `fields` has what, number, when, place, amount, remedy."""

    category: str
    fields: Mapping[str, Any]
    first_sequence: int
    received_at: datetime
    complete: bool


def desk_source(kind: str) -> str:
    """The name under which a desk's changes are read, once at a time."""
    return f"desk:{kind}"


class Complaints:
    """Everything that is done with complaints. Methods that take `db` join the caller's transaction."""

    def __init__(
        self, database: Database, bell: Bell, seal: Seal, desk: Desk, statutory_days: int, faults: Faults
    ) -> None:
        self._database = database
        self._bell = bell
        self._seal = seal
        self._desk = desk
        self._statutory = timedelta(days=statutory_days)
        self._faults = faults

    def file(self, db: Connection, conversation: Conversation, turn: TurnRow, draft: Draft) -> Complaint:
        """Files the complaint of this turn, once: reference, receipt, ticket request, clock, facts."""
        known = store.of_turn(db, turn.id)
        if known is not None:
            return known
        code = reference.new_code()
        complaint_id = self._insert(db, conversation, turn, draft, code)
        store.link(db, complaint_id, conversation.id, draft.first_sequence, turn.last_sequence)
        filed = store.read(db, complaint_id)
        tickets.want(db, complaint_id, self._desk.kind)
        store.promised(db, conversation.id, "statutory", filed.due_at, complaint_id)
        self._keep_number(db, conversation, draft.fields.get("number"))
        facts.record(
            db,
            "complaint.filed",
            conversation_id=conversation.id,
            complaint_id=complaint_id,
            category=draft.category,
            severity=filed.severity,
            complete=draft.complete,
            turn=turn.id,
        )
        self._write_receipt(db, conversation, filed, code)
        return filed

    def _insert(self, db: Connection, conversation: Conversation, turn: TurnRow, draft: Draft, code: str) -> int:
        while True:  # until the random reference is free: 40 bits, so once
            complaint_id = store.add(
                db,
                reference=(ours := reference.new_reference()),
                receipt_code_hash=self._code_hash(ours, code),
                identity_id=conversation.identity_id,
                turn_id=turn.id,
                category=draft.category,
                severity=_SEVERITY.get(draft.category, "normal"),
                fields=dict(draft.fields),
                language=conversation.language,
                state=TicketState.ACKNOWLEDGED.value,
                complete=int(draft.complete),
                received_at=draft.received_at,
                due_at=draft.received_at + self._statutory,
            )
            if complaint_id is not None:
                return complaint_id

    def _code_hash(self, ours: str, code: str) -> str:
        return self._seal.digest("receipt code", f"{ours} {code}")

    def _keep_number(self, db: Connection, conversation: Conversation, number: object) -> None:
        if isinstance(number, str) and number:
            people.keep_value(
                db,
                conversation.identity_id,
                "number",
                sealed=self._seal.seal(number),
                lookup=self._seal.digest("number", number),
            )

    def _write_receipt(self, db: Connection, conversation: Conversation, filed: Complaint, code: str) -> None:
        outbox.notice(
            db,
            conversation,
            f"receipt:{filed.id}",
            "receipt",
            "receipt.filed" if filed.complete else "receipt.incomplete",
            args={
                "reference": filed.reference,
                "code": code,
                "category": filed.category,
                "due_at": filed.due_at.isoformat(),
            },
        )

    def status_replies(
        self, db: Connection, conversation: Conversation, typed: str | None, code: str | None
    ) -> list[Mapping[str, Any]]:
        """What to answer to "how is my complaint": replies of the dialogue's shape."""
        if typed:
            found = self._proven(db, conversation, typed, code)
            return [self._describe(db, found)] if found else [_reply("status.unknown", human=True)]
        mine = store.of_identity(db, conversation.identity_id)
        if not mine:
            return [_reply("status.none", human=True)]
        replies = [self._describe(db, one) for one in mine[:SHOWN_AT_ONCE]]
        if len(mine) > SHOWN_AT_ONCE:
            replies.append(_reply("status.more", count=len(mine) - SHOWN_AT_ONCE))
        return replies

    def _proven(self, db: Connection, conversation: Conversation, typed: str, code: str | None) -> Complaint | None:
        """The complaint if it is the speaker's own, or the receipt code proves it.

        A stranger's, an unknown and a mistyped reference look the same from outside; wrong guesses are
        counted as facts and, past the limit, nothing is looked up any more.
        """
        ours = reference.parse(typed)
        found = store.by_reference(db, ours) if ours else None
        if found is not None and found.identity_id == conversation.identity_id:
            return found
        if self._guessed_too_often(db, conversation, found):
            return None
        if found is not None and code and self._code_hash(found.reference, code) == found.receipt_code_hash:
            facts.record(db, "proof.given", conversation_id=conversation.id, complaint_id=found.id)
            return found
        facts.record(
            db,
            "proof.denied",
            actor="customer",
            conversation_id=conversation.id,
            complaint_id=found.id if found else None,
        )
        return None

    def _guessed_too_often(self, db: Connection, conversation: Conversation, found: Complaint | None) -> bool:
        clock = conversations.now(db)
        by_customer = fact_store.count_since(
            db, "proof.denied", clock - timedelta(hours=1), conversation_id=conversation.id
        )
        on_reference = 0
        if found is not None:
            on_reference = fact_store.count_since(db, "proof.denied", clock - timedelta(days=1), complaint_id=found.id)
        return by_customer >= WRONG_GUESSES_PER_HOUR or on_reference >= WRONG_GUESSES_PER_REFERENCE

    def _describe(self, db: Connection, found: Complaint) -> Mapping[str, Any]:
        """State and as of when; a desk that is silent is said, not guessed."""
        clock = conversations.now(db)
        heard = cursors.heard_at(db, desk_source(self._desk.kind))
        silent = heard is not None and clock - heard > DESK_SILENT_AFTER
        return _reply(
            "status.unreachable" if silent else "status.one",
            reference=found.reference,
            category=found.category,
            state=found.state,
            due_at=found.due_at.isoformat(),
            as_of_at=(heard or found.state_at).isoformat(),
        )

    def set_state(self, complaint_id: int, state: TicketState, note: str, user: User) -> None:
        """A person at work changes the state: at the desk, which tells us back through its changes.

        Raises DeskDown (also while the ticket is not open yet), DeskUncertain, DeskRefused or Throttled.
        """
        with self._database.read() as db:
            ticket = tickets.of_complaint(db, complaint_id)
        if ticket is None or ticket.state != "open":
            raise DeskDown("the ticket is not open at the desk yet")
        self._desk.set_state(ticket.ticket_id, state, note, f"user:{user.id}")
        with self._database.write() as db:
            user_store.log(db, user.id, "complaint.state", {"complaint": complaint_id, "state": state.value})
        self._bell.ring("desk")

    def take_changes(self, source: str, token: int, changes: Sequence[Change], position: str) -> int:
        """Takes over what the desk changed, each change once, in the commit that moves the cursor."""
        with self._database.write() as db:
            if not cursors.advance(db, source, token, position):
                raise LeaseLost(source)
            taken = sum(self._take_change(db, change) for change in changes)
            self._faults.at(Moment.CHANGES_BEFORE_COMMIT)
        self._faults.at(Moment.CHANGES_AFTER_COMMIT)
        if taken:
            for topic in ("send", "live"):
                self._bell.ring(topic)
        return taken

    def set_aside(self, change: Change, reason: str) -> None:
        """Keeps that a change could not be taken over, for a person to look at; it is not asked for again."""
        with self._database.write() as db:
            tickets.set_aside(db, self._desk.kind, change.change_id, change.reference[:16], reason[:64])
            facts.record(db, "change.dead", desk=self._desk.kind, reason=reason[:64])

    def _take_change(self, db: Connection, change: Change) -> bool:
        if not tickets.take_change(db, self._desk.kind, change.change_id):
            return False
        found = store.by_reference(db, change.reference)
        if found is None or (change.own and not change.note):
            return False
        locked = store.lock(db, found.id)
        store.change(db, locked.id, state=change.state.value, state_at=change.at)
        facts.record(
            db,
            "complaint.state",
            actor="desk",
            complaint_id=locked.id,
            conversation_id=store.conversation_of(db, locked.id),
            occurred_at=change.at,
            was=locked.state,
            to=change.state.value,
        )
        if change.note or locked.state != change.state.value:
            self._tell_change(db, locked, change)
        return True

    def _tell_change(self, db: Connection, found: Complaint, change: Change) -> None:
        conversation_id = store.conversation_of(db, found.id)
        if conversation_id is None:
            return
        outbox.notice(
            db,
            conversations.lock(db, conversation_id),
            f"change:{self._desk.kind}:{change.change_id}",
            "status",
            "status.changed",
            args={
                "reference": found.reference,
                "state": change.state.value,
                "note": change.note,
                "as_of_at": change.at.isoformat(),
            },
        )

    def of_conversation(self, db: Connection, conversation_id: int) -> list[Complaint]:
        """The conversation's complaints, the newest first."""
        return store.of_conversation(db, conversation_id)


def _reply(key: str, *, human: bool = False, **args: Any) -> Mapping[str, Any]:
    buttons = [{"payload": "human", "key": "button.human"}] if human else []
    return {"key": key, "args": args, "question": None, "buttons": buttons}
