"""The operator's ticket desk behind real HTTP, with a ledger of its own and every way to fail; and the file that asks it."""

import random
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import httpx

from bot.desk import Change, NewTicket, Ticket, TicketState
from bot.errors import DeskDown, DeskRefused, DeskUncertain, Throttled
from tests.chaos.wire import Call, Reply

RETRY_AFTER = 0.08  # seconds; real desks say whole seconds
DEADLINE = 0.15  # seconds that our side waits for an answer

# Each fault strikes on its own, with its own chance, at every call.
BEFORE_COMMIT = ("500", "429", "hang", "reset")
AFTER_COMMIT = ("commit then hang", "commit then reset")


@dataclass(frozen=True)
class Asked:
    """A line of the ledger: one request, when it came, and what the desk did with it."""

    at: float  # monotonic
    what: str  # open or find
    reference: str
    key: str
    fate: str  # ok, or the fault


class DeskServer:
    """`chances` maps faults to probabilities; `lag` gives how many seconds later a ticket shows up in a search."""

    def __init__(
        self, seed: int, chances: Mapping[str, float], *, idempotent: bool, lag: tuple[float, float] = (0.0, 0.0)
    ) -> None:
        self.chances = chances
        self.ledger: list[Asked] = []
        self.opened: list[tuple[str, float]] = []  # reference, when it can be found
        self._random = random.Random(seed)
        self._idempotent = idempotent
        self._lag = lag
        self._lock = threading.Lock()

    def answer(self, call: Call) -> Reply:
        with self._lock:
            what = "open" if call.method == "POST" else "find"
            query = parse_qs(urlsplit(call.path).query)
            reference = str(call.body["reference"]) if what == "open" else query["reference"][0]
            fate = self._draw(what)
            key = call.headers.get("idempotency-key", "")
            self.ledger.append(Asked(time.monotonic(), what, reference, key, fate))
            if fate in BEFORE_COMMIT:
                return _fault(fate)
            number = self._open(reference) if what == "open" else self._find(reference)
            if fate in AFTER_COMMIT:
                return Reply(lost=fate.rsplit(" ", 1)[-1])
            return Reply(body={"number": number}) if number else Reply(404)

    def _draw(self, what: str) -> str:
        for fault, chance in self.chances.items():
            if self._random.random() < chance and (what == "open" or fault in BEFORE_COMMIT):
                return fault
        return "ok"

    def _open(self, reference: str) -> int:
        known = [place for place, (opened, _) in enumerate(self.opened, 1) if opened == reference]
        if known and self._idempotent:
            return known[0]
        self.opened.append((reference, time.monotonic() + self._random.uniform(*self._lag)))
        return len(self.opened)

    def _find(self, reference: str) -> int:
        clock = time.monotonic()
        shown = [place for place, (opened, at) in enumerate(self.opened, 1) if opened == reference and at <= clock]
        return shown[0] if shown else 0

    def doubled(self) -> list[str]:
        return [reference for reference, count in Counter(r for r, _ in self.opened).items() if count > 1]

    def early(self) -> int:
        """Calls that came sooner after a 429 than it allowed."""
        told = [one.at for one in self.ledger if one.fate == "429"]
        return sum(at < one.at < at + RETRY_AFTER for one in self.ledger for at in told)


def _fault(fate: str) -> Reply:
    if fate == "429":
        return Reply(429, headers={"Retry-After": str(RETRY_AFTER)})
    return Reply(500) if fate == "500" else Reply(lost=fate)


class HttpDesk:
    """Maps what HTTP does to the desk contract. Searching changes nothing, so its failures are all DeskDown."""

    kind = "http"

    def __init__(self, url: str, *, idempotent: bool, deadline: float = DEADLINE) -> None:
        self.idempotent = idempotent
        self._client = httpx.Client(
            base_url=url, timeout=deadline, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )

    def open(self, ticket: NewTicket) -> Ticket:
        try:
            answer = self._client.post(
                "/tickets", json={"reference": ticket.reference}, headers={"Idempotency-Key": ticket.reference}
            )
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise DeskDown(type(error).__name__) from None
        except httpx.HTTPError as error:
            raise DeskUncertain(type(error).__name__) from None
        _check_throttle(answer)
        if answer.status_code >= 500:  # it may have failed on the way back
            raise DeskUncertain(f"status {answer.status_code}")
        if answer.status_code >= 400:
            raise DeskRefused(f"status {answer.status_code}")
        return _ticket(ticket.reference, answer)

    def find(self, reference: str) -> Ticket | None:
        try:
            answer = self._client.get("/tickets", params={"reference": reference})
        except httpx.HTTPError as error:
            raise DeskDown(type(error).__name__) from None
        _check_throttle(answer)
        if answer.status_code == 404:
            return None
        if answer.status_code >= 400:
            raise DeskDown(f"status {answer.status_code}")
        return _ticket(reference, answer)

    def read(self, ticket_id: str) -> Ticket:
        raise DeskRefused("not asked for here")

    def comment(self, ticket_id: str, text: str, *, public: bool, key: str = "") -> None:
        raise DeskRefused("not asked for here")

    def set_state(self, ticket_id: str, state: TicketState, note: str, actor: str) -> Ticket:
        raise DeskRefused("not asked for here")

    def changes(self, cursor: str) -> tuple[Sequence[Change], str]:
        return (), cursor

    def close(self) -> None:
        self._client.close()


def _check_throttle(answer: httpx.Response) -> None:
    if answer.status_code == 429:
        raise Throttled(float(answer.headers["Retry-After"]))


def _ticket(reference: str, answer: httpx.Response) -> Ticket:
    return Ticket(str(answer.json()["number"]), reference, TicketState.ACKNOWLEDGED, datetime.now(UTC))
