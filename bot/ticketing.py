"""Opens tickets at the desk, each exactly once in effect: our reference is searched before any second try."""

from datetime import timedelta

import structlog

from bot import facts
from bot.desk import Desk, NewTicket, Ticket
from bot.errors import DeskDown, DeskRefused, DeskUncertain
from bot.faults import Faults, Moment
from bot.handoff import Handoff
from bot.store import complaints, conversations
from bot.store import tickets as store
from bot.store.complaints import Complaint
from bot.store.database import Database
from bot.store.tickets import TicketRow

log = structlog.get_logger()

LEASE = timedelta(seconds=60)
SEARCH_LAG = timedelta(seconds=10)  # a desk's index may show a new ticket late
LOOKS_BEFORE_PERSON = 5


class Ticketing:
    """One thread's worth of opening tickets."""

    def __init__(self, database: Database, desk: Desk, handoff: Handoff, faults: Faults) -> None:
        self._database = database
        self._desk = desk
        self._handoff = handoff
        self._faults = faults

    def open_once(self) -> bool:
        """Works on the ticket that is due; False when none is."""
        with self._database.write() as db:
            clock = conversations.now(db)
            row = store.due(db, clock)
            if row is None:
                return False
            store.change(db, row.id, lease_until=clock + LEASE, attempts=row.attempts + 1, state="opening")
            filed = complaints.read(db, row.complaint_id)
        self._faults.at(Moment.TICKET_CLAIMED)
        self._attempt(row, filed)
        return True

    def _attempt(self, row: TicketRow, filed: Complaint) -> None:
        try:
            # After a first attempt, ours or a dead worker's, the ticket may exist already.
            found = self._desk.find(filed.reference) if row.attempts else None
            if found is None and row.state == "uncertain" and row.attempts < LOOKS_BEFORE_PERSON:
                self._later(row, "uncertain", "not found yet", SEARCH_LAG)
                return
            if found is None and row.state == "uncertain":
                self._for_a_person(row)
                return
            ticket = found or self._desk.open(_new_ticket(filed))
            self._faults.at(Moment.TICKET_OPENED)
            self._opened(row, ticket)
            self._faults.at(Moment.TICKET_AFTER_COMMIT)
        except DeskDown as down:
            pause = timedelta(seconds=min(2.0 ** min(row.attempts, 10), 600))
            self._later(row, row.state, str(down), pause)
        except DeskUncertain as doubt:
            self._later(row, "uncertain", str(doubt), SEARCH_LAG)
        except DeskRefused as refusal:
            self._refused(row, str(refusal))

    def _later(self, row: TicketRow, state: str, reason: str, pause: timedelta) -> None:
        with self._database.write() as db:
            due = conversations.now(db) + pause
            kept = "wanted" if state == "opening" else state
            store.change(db, row.id, state=kept, reason=reason[:64], due_at=due, lease_until=None)

    def _opened(self, row: TicketRow, ticket: Ticket) -> None:
        with self._database.write() as db:
            store.change(db, row.id, state="open", ticket_id=ticket.ticket_id, reason="", due_at=None, lease_until=None)
            facts.record(db, "ticket.opened", complaint_id=row.complaint_id, desk=row.desk)

    def _for_a_person(self, row: TicketRow) -> None:
        self._stop(row, "uncertain", "not found after it may have been opened", "ticket.uncertain")

    def _refused(self, row: TicketRow, reason: str) -> None:
        log.error("desk refused a ticket", complaint=row.complaint_id)
        self._stop(row, "refused", reason, "ticket.refused")

    def _stop(self, row: TicketRow, state: str, reason: str, fact: str) -> None:
        with self._database.write() as db:
            store.change(db, row.id, state=state, reason=reason[:64], due_at=None, lease_until=None)
            facts.record(db, fact, complaint_id=row.complaint_id, desk=row.desk)
            conversation_id = complaints.conversation_of(db, row.complaint_id)
            current = conversations.lock(db, conversation_id) if conversation_id is not None else None
            if current is not None and current.state == "bot":
                self._handoff.to_person(db, current, "desk failed", f"ticket:{row.id}", excuse="desk")


def _new_ticket(filed: Complaint) -> NewTicket:
    # What was added later reaches the desk as comments, each with its own time.
    words = {name: _as_text(value) for name, value in filed.fields.items() if name != "added"}
    return NewTicket(
        reference=filed.reference,
        category=filed.category,
        severity=filed.severity,
        summary=words.get("what", "")[:2000],
        language=filed.language,
        received_at=filed.received_at,
        fields={name: text for name, text in words.items() if text},
    )


def _as_text(value: object) -> str:
    if isinstance(value, dict):
        return str(value.get("text") or "")
    return "" if value is None else str(value)
