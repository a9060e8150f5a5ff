"""The desk contract: what a file in `bot/desks/` gives. States are TMF621's (v5, section status)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class TicketState(StrEnum):
    """TMF621's trouble ticket states; a desk maps its own words to these."""

    ACKNOWLEDGED = "acknowledged"
    IN_PROGRESS = "inProgress"
    PENDING = "pending"  # waits for the customer
    HELD = "held"
    RESOLVED = "resolved"
    CLOSED = "closed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


FINAL_STATES = frozenset({TicketState.CLOSED, TicketState.REJECTED, TicketState.CANCELLED})


@dataclass(frozen=True)
class NewTicket:
    """What a desk needs to open a ticket. `fields` is free text of the customer, in reading order."""

    reference: str
    category: str  # leaf of the taxonomy
    severity: str
    summary: str
    language: str
    received_at: datetime
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ticket:
    """A ticket as the desk has it. `ticket_id` is the desk's own id."""

    ticket_id: str
    reference: str
    state: TicketState
    updated_at: datetime


@dataclass(frozen=True)
class Change:
    """Something that happened at the desk. `change_id` is unique at the desk and the same when repeated.

    `note` is for the customer (public); empty when there is none. `own` marks what we wrote ourselves.
    """

    change_id: str
    reference: str
    state: TicketState
    at: datetime
    note: str = ""
    own: bool = False


class Desk(Protocol):
    """A ticket desk. Raises DeskDown, DeskUncertain, DeskRefused or Throttled, and nothing of the vendor's."""

    kind: str
    idempotent: bool  # opening the same reference again gives the ticket that is there, whatever `find` shows

    def open(self, ticket: NewTicket) -> Ticket:
        """Never called again after DeskUncertain without `find` first; and then only if the desk is idempotent."""
        ...

    def find(self, reference: str) -> Ticket | None: ...

    def read(self, ticket_id: str) -> Ticket: ...

    def comment(self, ticket_id: str, text: str, *, public: bool, key: str = "") -> None:
        """After DeskUncertain it is called again with the same `key`: a desk that can tell writes it once."""
        ...

    def set_state(self, ticket_id: str, state: TicketState, note: str, actor: str) -> Ticket:
        """`note` is public: it reaches the customer through `changes`."""
        ...

    def changes(self, cursor: str) -> tuple[Sequence[Change], str]:
        """Changes after `cursor` ("" the first time), oldest first, and the new cursor."""
        ...
