"""Opens tickets at the desk, each exactly once in effect: our reference is searched before any second try."""

import random
import time
from contextlib import ExitStack
from datetime import timedelta

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from bot import desk_pause, facts
from bot.desk import Desk, NewTicket, Ticket
from bot.errors import DeskDown, DeskRefused, DeskUncertain, Throttled
from bot.faults import Faults, Moment
from bot.handoff import Handoff
from bot.store import complaints, conversations
from bot.store import tickets as store
from bot.store.complaints import Complaint
from bot.store.database import Database
from bot.store.tickets import TicketRow
from bot.suspects import AGAIN, Suspects

log = structlog.get_logger()

LEASE = timedelta(seconds=60)
SEARCH_LAG = timedelta(seconds=10)  # a desk's index may show a new ticket late
LOOKS_BEFORE_PERSON = 5
DEATHS_ALLOWED = 5


class Ticketing:
    """One thread's worth of opening tickets."""

    def __init__(self, database: Database, desk: Desk, handoff: Handoff, suspects: Suspects, faults: Faults) -> None:
        self._database = database
        self._desk = desk
        self._handoff = handoff
        self._suspects = suspects
        self._faults = faults
        self._lease_ends: float | None = None  # by the monotonic clock

    def open_once(self) -> bool:
        """Works on the ticket that is due; False when none is."""
        with ExitStack() as held:
            claimed = self._claim(held)
            if claimed is not None:
                self._open(*claimed)
        return claimed is not None

    def _claim(self, held: ExitStack) -> tuple[TicketRow, Complaint] | None:
        """The ticket that is due. One over which somebody died is opened only beside no other suspect."""
        with self._database.write() as db:
            clock = conversations.now(db)
            row = store.due(db, clock)
            if row is None:
                return None
            died = row.state == "opening"  # nobody leaves it so who lives
            if died and row.deaths + 1 >= DEATHS_ALLOWED:
                self._stop(db, row, "dead", "killed its worker")
                return None
            if not desk_pause.may_ask(db, row.desk, clock, LEASE):
                return None
            if not held.enter_context(self._suspects.alone(died)):
                store.change(db, row.id, due_at=clock + AGAIN)
                return None
            attempts, deaths = row.attempts + 1, row.deaths + died
            store.change(db, row.id, lease_until=clock + LEASE, attempts=attempts, deaths=deaths, state="opening")
            return row, complaints.read(db, row.complaint_id)

    def _open(self, row: TicketRow, filed: Complaint) -> None:
        self._lease_ends = time.monotonic() + LEASE.total_seconds()
        try:
            self._faults.at(Moment.TICKET_CLAIMED)
            self._attempt(row, filed)
        finally:
            self._lease_ends = None

    def overdue(self) -> bool:
        """Whether this thread still opens what another one may have taken over: it hangs."""
        return self._lease_ends is not None and time.monotonic() > self._lease_ends

    def _attempt(self, row: TicketRow, filed: Complaint) -> None:
        try:
            # After a first attempt, ours or a dead worker's, the ticket may exist already.
            found = self._desk.find(filed.reference) if row.attempts else None
            if found is None and row.state == "uncertain" and not self._desk.idempotent:
                self._not_found(row)
                return
            ticket = found or self._desk.open(_new_ticket(filed))
            self._faults.at(Moment.TICKET_OPENED)
            self._opened(row, ticket)
            self._faults.at(Moment.TICKET_AFTER_COMMIT)
        except Throttled as pause:
            self._throttled(row, pause.retry_after)
        except DeskDown as down:
            self._silent(row, row.state, str(down), _pause(row.attempts))
        except DeskUncertain as doubt:
            self._silent(row, "uncertain", str(doubt), SEARCH_LAG)
        except DeskRefused as refusal:
            self._refused(row, str(refusal))
        except SQLAlchemyError:
            raise
        except Exception as surprise:  # the desk's file has a bug; the ticket may be there all the same
            log.exception("desk broke", complaint=row.complaint_id, error=type(surprise).__name__)
            self._silent(row, "uncertain", type(surprise).__name__, SEARCH_LAG)

    def _throttled(self, row: TicketRow, seconds: float) -> None:
        """All tickets wait as long as the desk asked; this one a little longer, so that they do not come at once."""
        with self._database.write() as db:
            desk_pause.throttled(db, row.desk, seconds)
            self._later(db, row, row.state, "throttled", timedelta(seconds=_a_little_more(seconds)))

    def _silent(self, row: TicketRow, state: str, reason: str, pause: timedelta) -> None:
        with self._database.write() as db:
            desk_pause.silent(db, row.desk)
            self._later(db, row, state, reason, pause)

    def _not_found(self, row: TicketRow) -> None:
        """It may show up yet; only looks that the desk answered count."""
        with self._database.write() as db:
            desk_pause.answered(db, row.desk)
            if row.looks + 1 >= LOOKS_BEFORE_PERSON:
                self._stop(db, row, "uncertain", "not found after it may have been opened")
                return
            store.change(db, row.id, looks=row.looks + 1)
            self._later(db, row, "uncertain", "not found yet", SEARCH_LAG)

    def _later(self, db: Connection, row: TicketRow, state: str, reason: str, pause: timedelta) -> None:
        due = conversations.now(db) + pause
        kept = "wanted" if state == "opening" else state
        store.change(db, row.id, state=kept, reason=reason[:64], due_at=due, lease_until=None, deaths=0)

    def _opened(self, row: TicketRow, ticket: Ticket) -> None:
        with self._database.write() as db:
            desk_pause.answered(db, row.desk)
            store.change(db, row.id, state="open", ticket_id=ticket.ticket_id, reason="", due_at=None, lease_until=None)
            facts.record(db, "ticket.opened", complaint_id=row.complaint_id, desk=row.desk)

    def _refused(self, row: TicketRow, reason: str) -> None:
        log.error("desk refused a ticket", complaint=row.complaint_id)
        with self._database.write() as db:
            desk_pause.answered(db, row.desk)
            self._stop(db, row, "refused", reason)

    def _stop(self, db: Connection, row: TicketRow, state: str, reason: str) -> None:
        """Left to a person: refused, uncertain or dead."""
        clock = conversations.now(db)
        store.change(db, row.id, state=state, reason=reason[:64], due_at=None, lease_until=None, stopped_at=clock)
        facts.record(db, f"ticket.{state}", complaint_id=row.complaint_id, desk=row.desk)
        conversation_id = complaints.conversation_of(db, row.complaint_id)
        current = conversations.lock(db, conversation_id) if conversation_id is not None else None
        if current is not None and current.state == "bot":
            self._handoff.to_person(db, current, "desk failed", f"ticket:{row.id}", excuse="desk")


def _pause(attempts: int) -> timedelta:
    """2, 4, 8 s … ten minutes, and a random half less: tickets that failed together do not come back together."""
    return timedelta(seconds=min(2.0 ** min(attempts + 1, 10), 600) * random.uniform(0.5, 1.0))  # noqa: S311 - jitter


def _a_little_more(seconds: float) -> float:
    return seconds * random.uniform(1.0, 1.5)  # noqa: S311 - jitter


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
