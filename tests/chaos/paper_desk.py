"""A ticket desk on paper: one file of lines that no transaction of ours can take back. Opening is not idempotent."""

import fcntl
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bot.desk import Change, NewTicket, Ticket, TicketState
from bot.errors import DeskRefused


class PaperDesk:
    """The third ledger's part about tickets. A line is {"what": opened | state, "reference", "state", "note", "at"}."""

    kind = "paper"
    idempotent = False

    def __init__(self, paper: Path) -> None:
        self._paper = paper
        paper.touch()

    def open(self, ticket: NewTicket) -> Ticket:
        self._write("opened", ticket.reference, TicketState.ACKNOWLEDGED, "")
        found = self.find(ticket.reference)
        assert found is not None
        return found

    def find(self, reference: str) -> Ticket | None:
        """The first of that reference."""
        return next((self._ticket(line) for line in self.lines() if line["reference"] == reference), None)

    def read(self, ticket_id: str) -> Ticket:
        found = self.find(ticket_id)
        if found is None:
            raise DeskRefused("there is no such ticket")
        return found

    def comment(self, ticket_id: str, text: str, *, public: bool, key: str = "") -> None:
        """Nothing in these tests comments."""

    def set_state(self, ticket_id: str, state: TicketState, note: str, actor: str) -> Ticket:
        """Also what tests call as the people at the desk."""
        self._write("state", ticket_id, state, note)
        return self.read(ticket_id)

    def changes(self, cursor: str) -> tuple[Sequence[Change], str]:
        """The cursor is a place in the file; a change is known by where it begins."""
        found, place = [], int(cursor or 0)
        with self._paper.open("rb") as file:
            file.seek(place)
            for raw in file:
                found.append(self._change(json.loads(raw), str(place)))
                place += len(raw)
        return found, str(place)

    def lines(self) -> Iterator[dict[str, Any]]:
        with self._paper.open("rb") as file:
            yield from map(json.loads, file)

    def size(self) -> int:
        return self._paper.stat().st_size

    def _write(self, what: str, reference: str, state: TicketState, note: str) -> None:
        at = datetime.now(UTC).isoformat()
        line = {"what": what, "reference": reference, "state": state.value, "note": note, "at": at}
        with self._paper.open("ab", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(json.dumps(line).encode() + b"\n")  # one write: a killed process leaves a whole line or none

    def _ticket(self, line: dict[str, Any]) -> Ticket:
        at = datetime.fromisoformat(line["at"])
        return Ticket(line["reference"], line["reference"], TicketState(line["state"]), at)

    def _change(self, line: dict[str, Any], change_id: str) -> Change:
        at = datetime.fromisoformat(line["at"])
        own = line["what"] == "opened"
        return Change(change_id, line["reference"], TicketState(line["state"]), at, line["note"], own)
