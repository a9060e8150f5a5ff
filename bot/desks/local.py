"""The local desk: tickets in our own database, for operators without a ticket system and for every test.

It keeps what a desk keeps (state, notes, history) and no second copy of the complaint's fields.
States follow TMF621 (https://www.tmforum.org/oda/open-apis/directory/trouble-ticket-management-api-TMF621).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DataError, SQLAlchemyError

from bot.desk import FINAL_STATES, Change, NewTicket, Ticket, TicketState
from bot.errors import DeskDown, DeskRefused, DeskUncertain
from bot.store import tickets as store
from bot.store.database import Database

_OURSELVES = "bot"
_LARGEST_ID = 2**63


class LocalDesk:
    """Opening is idempotent by reference. `changes` counts the public entries of all tickets."""

    kind = "local"
    idempotent = True

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, ticket: NewTicket) -> Ticket:
        with self._writing() as db:
            is_new = store.local_open(
                db,
                reference=ticket.reference,
                category=ticket.category,
                severity=ticket.severity,
                summary=_storable(ticket.summary),
                state=TicketState.ACKNOWLEDGED.value,
            )
            row = store.local_read(db, reference=ticket.reference)
            if is_new:
                store.local_write(db, row.id, state=row.state, note="", public=True, actor=_OURSELVES)
            return _ticket(store.local_read(db, reference=ticket.reference))

    def find(self, reference: str) -> Ticket | None:
        with self._reading() as db:
            row = store.local_read(db, reference=reference)
        return _ticket(row) if row else None

    def read(self, ticket_id: str) -> Ticket:
        with self._reading() as db:
            return _ticket(_known(db, ticket_id))

    def comment(self, ticket_id: str, text: str, *, public: bool, key: str = "") -> None:
        if not text.strip():
            raise DeskRefused("a comment needs words")
        with self._writing() as db:
            row = _known(db, ticket_id)
            note = _storable(text)
            store.local_write(db, row.id, state=row.state, note=note, public=public, actor=_OURSELVES, key=key or None)

    def set_state(self, ticket_id: str, state: TicketState, note: str, actor: str) -> Ticket:
        with self._writing() as db:
            row = _known(db, ticket_id)
            _check_move(TicketState(row.state), state)
            store.local_write(db, row.id, state=state.value, note=_storable(note), public=True, actor=actor)
            return _ticket(_known(db, ticket_id))

    def changes(self, cursor: str) -> tuple[Sequence[Change], str]:
        """The cursor is the number of the last entry that was given out."""
        after = int(cursor or 0)
        with self._reading() as db:
            entries = store.local_entries(db, after)
        return [_change(entry) for entry in entries], str(entries[-1].id if entries else after)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with self._database.read() as db:
                yield db
        except SQLAlchemyError as error:
            raise DeskDown(type(error).__name__) from error

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """One writer at a time, so that entries become visible in the order of their numbers."""
        committing = False
        try:
            with self._database.write() as db:
                if not self._database.sqlite:
                    db.execute(text("LOCK TABLE local_entry IN EXCLUSIVE MODE"))
                yield db
                committing = True
        except DataError as error:
            raise DeskRefused("the ticket does not fit the desk's fields") from error
        except SQLAlchemyError as error:
            raise (DeskUncertain if committing else DeskDown)(type(error).__name__) from error


def _ticket(row: Any) -> Ticket:
    return Ticket(str(row.id), row.reference, TicketState(row.state), row.updated_at)


def _known(db: Connection, ticket_id: str) -> Any:
    """The ticket's row; a ticket changes only inside `_writing`, which lets one in at a time."""
    number = int(ticket_id) if ticket_id.isascii() and ticket_id.isdigit() else 0
    row = store.local_read(db, ticket_id=number) if 0 < number < _LARGEST_ID else None
    if row is None:
        raise DeskRefused("there is no such ticket")
    return row


def _check_move(now: TicketState, wanted: TicketState) -> None:
    if now is wanted:
        return  # a note without a move
    if now in FINAL_STATES:
        raise DeskRefused(f"a ticket that is {now.value} stays so; a new complaint is needed")
    if wanted is TicketState.ACKNOWLEDGED:
        raise DeskRefused("a ticket that was worked on cannot become new again")


def _change(entry: Any) -> Change:
    return Change(
        change_id=str(entry.id),
        reference=entry.reference,
        state=TicketState(entry.state),
        at=entry.at,
        note=entry.note,
        own=entry.actor == _OURSELVES,
    )


def _storable(words: str) -> str:
    """PostgreSQL keeps neither NUL nor lone surrogates."""
    return words.replace("\x00", "").encode("utf-8", "replace").decode()
