"""Tells the desk what customers want: one thing after the other per complaint, each once as far as the desk can tell."""

from datetime import timedelta

import structlog
from sqlalchemy import Connection

from bot import desk_pause, facts
from bot.bell import Bell
from bot.desk import Desk, TicketState
from bot.errors import DeskDown, DeskRefused, DeskUncertain, Throttled
from bot.handoff import Handoff
from bot.store import complaints, conversations, tickets
from bot.store import desk_actions as store
from bot.store.complaints import Complaint
from bot.store.database import Database
from bot.store.desk_actions import DeskAction
from bot.texts import Texts

log = structlog.get_logger()

LEASE = timedelta(seconds=60)
LOOK_AGAIN = timedelta(seconds=10)  # after an answer that did not come
TRIES_IN_DOUBT = 5
_CUSTOMER = "customer"  # for the desk: not our own doing, so it comes back as a change and is told


class DeskWork:
    """One thread's worth of telling the desk. Whoever dies on the way leaves a lease that runs out."""

    def __init__(self, database: Database, bell: Bell, desk: Desk, texts: Texts, handoff: Handoff) -> None:
        self._database = database
        self._bell = bell
        self._desk = desk
        self._texts = texts
        self._handoff = handoff

    def do_once(self) -> bool:
        """Does what is due; False when nothing is."""
        with self._database.write() as db:
            clock = conversations.now(db)
            action = store.due(db, clock)
            if action is None or not desk_pause.may_ask(db, self._desk.kind, clock, LEASE):
                return False
            store.change(db, action.id, state=store.DOING, attempts=action.attempts + 1, lease_until=clock + LEASE)
            filed = complaints.read(db, action.complaint_id)
            ticket = tickets.of_complaint(db, action.complaint_id)
        assert ticket is not None  # noqa: S101 - an action is due only where the ticket is open
        self._attempt(action, filed, ticket.ticket_id)
        return True

    def _attempt(self, action: DeskAction, filed: Complaint, ticket_id: str) -> None:
        try:
            self._tell(action, filed, ticket_id)
        except Throttled as asked:
            self._paused(action, asked.retry_after)
        except DeskDown as down:
            pause = timedelta(seconds=min(2.0 ** min(action.attempts, 10), 600))
            self._silent(action, store.WANTED, str(down), pause)
        except DeskUncertain as doubt:
            if action.attempts + 1 >= TRIES_IN_DOUBT:
                self._for_a_person(action, filed, store.UNCERTAIN, str(doubt))
            else:
                self._silent(action, store.UNCERTAIN, str(doubt), LOOK_AGAIN)
        except DeskRefused as refusal:
            self._for_a_person(action, filed, store.REFUSED, str(refusal))
        else:
            self._done(action)

    def _tell(self, action: DeskAction, filed: Complaint, ticket_id: str) -> None:
        if action.kind == "comment":
            words = self._texts.render(action.text_key, filed.language, **action.args)
            self._desk.comment(ticket_id, words, public=False, key=action.key)
            return
        wanted = TicketState(action.to_state)
        # After a first attempt, ours or a dead worker's, the desk may be there already.
        if action.attempts and self._desk.read(ticket_id).state is wanted:
            return
        self._desk.set_state(ticket_id, wanted, "", _CUSTOMER)

    def _done(self, action: DeskAction) -> None:
        with self._database.write() as db:
            desk_pause.answered(db, self._desk.kind)
            store.change(db, action.id, state=store.DONE, reason="", due_at=None, lease_until=None)
            facts.record(db, "desk_action.done", complaint_id=action.complaint_id, action=action.kind, what=action.key)
        self._bell.ring("desk")

    def _paused(self, action: DeskAction, seconds: float) -> None:
        with self._database.write() as db:
            desk_pause.throttled(db, self._desk.kind, seconds)
            self._later(db, action, store.WANTED, "throttled", timedelta(seconds=seconds))

    def _silent(self, action: DeskAction, state: str, reason: str, pause: timedelta) -> None:
        with self._database.write() as db:
            desk_pause.silent(db, self._desk.kind)
            self._later(db, action, state, reason, pause)

    def _later(self, db: Connection, action: DeskAction, state: str, reason: str, pause: timedelta) -> None:
        due = conversations.now(db) + pause
        store.change(db, action.id, state=state, reason=reason[:64], due_at=due, lease_until=None)

    def _for_a_person(self, action: DeskAction, filed: Complaint, state: str, reason: str) -> None:
        """Neither done nor to be done by us: the customer is not left with a wish that nobody carries out."""
        log.error("the desk did not take a customer's wish", complaint=filed.id, action=action.kind, state=state)
        with self._database.write() as db:
            store.change(db, action.id, state=state, reason=reason[:64], due_at=None, lease_until=None)
            facts.record(db, f"desk_action.{state}", complaint_id=filed.id, action=action.kind, what=action.key)
            conversation_id = complaints.conversation_of(db, filed.id)
            current = conversations.lock(db, conversation_id) if conversation_id is not None else None
            if current is not None and current.state == "bot":
                self._handoff.to_person(db, current, "desk failed", f"desk:{action.id}", excuse="desk")
        self._bell.ring("send")
        self._bell.ring("live")
