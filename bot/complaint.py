"""Complaints: filing with a receipt at once, true status, and what the desk changed."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from bot import facts, outbox, reference
from bot.bell import Bell
from bot.desk import FINAL_STATES, Change, Desk, TicketState
from bot.drafts import Draft
from bot.errors import DeskDown, LeaseLost
from bot.faults import Faults, Moment
from bot.proof import Proof
from bot.replies import Reply, button, reply
from bot.sealing import Seal
from bot.store import complaints as store
from bot.store import conversations, cursors, desk_actions, people, ratings, tickets
from bot.store import users as user_store
from bot.store.complaints import Complaint
from bot.store.conversations import Conversation
from bot.store.database import Database
from bot.store.users import User

SHOWN_AT_ONCE = 3  # complaints in one status answer
KNOWN_AT_ONCE = 5  # complaints that the dialogue can offer as a choice
DESK_SILENT_AFTER = timedelta(minutes=5)

# Money or identity in danger goes first; total loss of service next (reference/nlu.md 5.5, urgency signals).
_SEVERITY = {"security.fraud_identity": "high", "security.privacy_leak": "high", "broadband.disconnection": "medium"}

_SOLVED = ("solved", "unsolved")


def _offers(state: str) -> tuple[str, ...]:
    """What a customer can do about a complaint in this state, as buttons."""
    if state in (TicketState.RESOLVED, TicketState.CLOSED):
        return _SOLVED
    return () if TicketState(state) in FINAL_STATES else ("urge", "add", "withdraw")


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
        self.proof = Proof(seal)

    def file(self, db: Connection, conversation: Conversation, draft: Draft, turn_id: int | None = None) -> Complaint:
        """Files a complaint: reference, receipt, ticket request, clock, facts. Once per turn, where one filed it."""
        known = store.of_turn(db, turn_id) if turn_id is not None else None
        if known is not None:
            return known
        code = reference.new_code()
        complaint_id = self._insert(db, conversation, turn_id, draft, code)
        store.link(db, complaint_id, conversation.id, draft.first_sequence, draft.last_sequence)
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
            turn=turn_id,
        )
        self._write_receipt(db, conversation, filed, code)
        return filed

    def _insert(self, db: Connection, conversation: Conversation, turn_id: int | None, draft: Draft, code: str) -> int:
        while True:  # until the random reference is free: 40 bits, so once
            complaint_id = store.add(
                db,
                reference=(ours := reference.new_reference()),
                receipt_code_hash=self.proof.code_hash(ours, code),
                identity_id=conversation.identity_id,
                turn_id=turn_id,
                category=draft.category,
                severity=draft.severity or _SEVERITY.get(draft.category, "normal"),
                fields=dict(draft.fields),
                language=conversation.language,
                state=TicketState.ACKNOWLEDGED.value,
                complete=int(draft.complete),
                received_at=draft.received_at,
                due_at=draft.received_at + self._statutory,
                parent_id=draft.parent_id,
            )
            if complaint_id is not None:
                return complaint_id

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
        request = str(filed.fields.get("request") or "")
        key = "receipt.filed" if filed.complete else "receipt.incomplete"
        outbox.notice(
            db,
            conversation,
            f"receipt:{filed.id}",
            "receipt",
            "receipt.privacy" if request else key,
            args={
                "reference": filed.reference,
                "code": code,
                "category": filed.category,
                "request": request,
                "due_at": filed.due_at.isoformat(),
            },
        )

    def complete(self, db: Connection, conversation: Conversation, complaint_id: int, draft: Draft) -> Complaint:
        """Adds the rest to a complaint that was filed as it was when a person was called; same reference and clock."""
        before = store.lock(db, complaint_id)
        store.change(db, complaint_id, category=draft.category, fields={**before.fields, **draft.fields}, complete=1)
        self._keep_number(db, conversation, draft.fields.get("number"))
        filed = store.read(db, complaint_id)
        facts.record(
            db,
            "complaint.completed",
            actor="customer",
            conversation_id=conversation.id,
            complaint_id=complaint_id,
            category=draft.category,
        )
        outbox.notice(
            db,
            conversation,
            f"completed:{complaint_id}:{draft.last_sequence}",
            "status",
            "receipt.completed",
            args={"reference": filed.reference, "due_at": filed.due_at.isoformat()},
        )
        return filed

    def known_to(self, db: Connection, conversation: Conversation, asked_at: datetime) -> list[Mapping[str, Any]]:
        """The speaker's own complaints as the dialogue may know them: no words of theirs, only what is shown anyway.

        The newest first, at most KNOWN_AT_ONCE. `day` counts from 1 on the day of the first message.
        """
        mine = store.of_identity(db, conversation.identity_id)[:KNOWN_AT_ONCE]
        rated = ratings.rated(db, [one.id for one in mine])
        return [
            {
                "reference": one.reference,
                "category": one.category,
                "state": one.state,
                "day": (asked_at - one.received_at).days + 1,
                "received_at": one.received_at.isoformat(),
                "due_at": one.due_at.isoformat(),
                "rated": one.id in rated,
            }
            for one in mine
        ]

    def status_replies(
        self, db: Connection, conversation: Conversation, typed: str | None, code: str | None
    ) -> list[Reply]:
        """What to answer to "how is my complaint": replies of the dialogue's shape."""
        if typed:
            found = self.proof.find(db, conversation, typed, code)
            return [self._describe(db, found)] if found else [reply("status.unknown", ["human"])]
        mine = store.of_identity(db, conversation.identity_id)
        if not mine:
            return [reply("status.none", ["complain", "human"])]
        replies = [self._describe(db, one) for one in mine[:SHOWN_AT_ONCE]]
        if len(mine) > SHOWN_AT_ONCE:
            replies.append(reply("status.more", count=len(mine) - SHOWN_AT_ONCE))
        return replies

    def _describe(self, db: Connection, found: Complaint) -> Reply:
        """State and as of when; a desk that is silent is said, not guessed."""
        clock = conversations.now(db)
        heard = cursors.heard_at(db, desk_source(self._desk.kind))
        silent = heard is not None and clock - heard > DESK_SILENT_AFTER
        return reply(
            "status.unreachable" if silent else "status.one",
            [f"{offer}:{found.reference}" for offer in _offers(found.state)],
            reference=found.reference,
            category=found.category,
            state=found.state,
            wish=desk_actions.state_wanted(db, found.id),
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
        asks = change.state in (TicketState.RESOLVED, TicketState.CLOSED)
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
            buttons=[button(f"{answer}:{found.reference}") for answer in _SOLVED] if asks else (),
        )

    def of_conversation(self, db: Connection, conversation_id: int) -> list[Complaint]:
        """The conversation's complaints, the newest first."""
        return store.of_conversation(db, conversation_id)
