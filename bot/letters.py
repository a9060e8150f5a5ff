"""Dead letters and uncertain sends: what a person does about them. Sent again, or let go with a reason; never deleted."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection

from bot import facts, outbox
from bot.bell import Bell
from bot.store import conversations, leases, turns, users
from bot.store import inbox as inbox_store
from bot.store import letters as store
from bot.store import outbox as outbox_store
from bot.store.database import Database
from bot.store.letters import Letter, Which
from bot.store.users import User

# Why a letter is let go. Words of ours, so that they can be counted and are nobody's secret.
ARRIVED = "arrived"
REASONS = (ARRIVED, "told otherwise", "not needed", "cannot arrive", "handled", "test")
_PAGE = 200


class Outcome(StrEnum):
    """What became of a wish about a letter. All but the first two change nothing."""

    REPLAYED = "replayed"
    DISCARDED = "discarded"
    GONE = "gone"  # somebody was faster, or it has arrived, or there is no such letter
    OUTDATED = "outdated"  # a reply of the bot to what is over: it would not be sent
    NOT_BOTS = "not_bots"  # a turn of a conversation that a person has now, or nobody
    ANSWERED = "answered"  # a turn whose messages somebody has answered, or that wait for the bot already
    UNREADABLE = "unreadable"  # nothing to do again: it could not be read


@dataclass(frozen=True)
class Shown:
    """A letter, and what its row knows about it besides. No text."""

    letter: Letter
    details: Mapping[str, Any]


def named(name: str) -> tuple[str, int] | None:
    """`message-17` -> ("message", 17); None for what is no letter's name."""
    kind, _, number = name.partition("-")
    if kind not in store.TABLES or not (number.isascii() and number.isdigit()) or len(number) > 15:
        return None
    return kind, int(number)


class Letters:
    """Every move is compare-and-set, recorded as a fact, and in the audit log."""

    def __init__(self, database: Database, bell: Bell) -> None:
        self._database = database
        self._bell = bell

    def find(self, which: Which, *, limit: int = _PAGE) -> list[Letter]:
        with self._database.read() as db:
            return store.find(db, which, limit=limit)

    def show(self, kind: str, letter_id: int) -> Shown | None:
        """None when there is no such row."""
        with self._database.read() as db:
            letter = store.read(db, kind, letter_id)
            return Shown(letter, store.details(db, kind, letter_id)) if letter else None

    def names(self, which: Which) -> list[tuple[str, int]]:
        """Everything asked for, the oldest first: in that order it is sent again."""
        with self._database.read() as db:
            found = list(_pages(db, which))
        return [(letter.kind, letter.id) for letter in sorted(found, key=lambda letter: (letter.at, letter.id))]

    def replay(self, kind: str, letter_id: int, user: User | None) -> Outcome:
        """Does it again under its old key: knowingly, where it may have arrived."""
        return self._move("letter.replayed", kind, letter_id, user, _REPLAY[kind])

    def discard(self, kind: str, letter_id: int, reason: str, user: User | None) -> Outcome:
        """Takes it off the list and keeps it. Raises ValueError for a reason that is not in REASONS."""
        if reason not in REASONS:
            raise ValueError(f"unknown reason {reason!r}")

        def let_go(db: Connection, letter: Letter) -> Outcome:
            if not store.take(db, kind, letter.id, discarded_at=conversations.now(db)):
                return Outcome.GONE
            if kind == "message" and reason == ARRIVED:
                outbox.drop_repeat(db, letter.id)
            return Outcome.DISCARDED

        return self._move("letter.discarded", kind, letter_id, user, let_go, why=reason)

    def _move(
        self,
        fact: str,
        kind: str,
        letter_id: int,
        user: User | None,
        act: Callable[[Connection, Letter], Outcome],
        why: str = "",
    ) -> Outcome:
        with self._database.write() as db:
            letter = store.read(db, kind, letter_id)
            if letter is None:
                return Outcome.GONE
            outcome = act(db, letter)
            if outcome in (Outcome.REPLAYED, Outcome.DISCARDED):
                _record(db, fact, letter, user, why)
        for topic in ("send", "work", "tickets", "live"):
            self._bell.ring(topic)
        return outcome


def _pages(db: Connection, which: Which) -> Iterator[Letter]:
    after = 0
    while page := store.find(db, which, limit=_PAGE, after=after):
        yield from page
        after += len(page)


def _record(db: Connection, fact: str, letter: Letter, user: User | None, why: str) -> None:
    facts.record(
        db,
        fact,
        actor=f"user:{user.id}" if user else "system",
        conversation_id=letter.conversation_id,
        complaint_id=letter.complaint_id,
        letter=letter.name,
        was=letter.state,
        why=why,
    )
    users.log(db, user.id if user else None, fact, {"letter": letter.name, "why": why})


def _message(db: Connection, letter: Letter) -> Outcome:
    """Goes on with the piece that failed or is in doubt."""
    current = conversations.lock(db, letter.conversation_id or 0)
    row = outbox_store.read(db, letter.id)
    if row is None or row.state not in ("dead", "uncertain"):
        return Outcome.GONE
    if outbox.fate(row, current) == "superseded":
        return Outcome.OUTDATED
    clock = conversations.now(db)
    again = {"state": "pending", "reason": "", "attempts": 0, "due_at": clock, "replayed_at": clock, "stopped_at": None}
    if not store.take(db, "message", letter.id, **again):
        return Outcome.GONE
    outbox.drop_repeat(db, letter.id)
    leases.wake_sender(db, current.id)
    return Outcome.REPLAYED


def _turn(db: Connection, letter: Letter) -> Outcome:
    current = conversations.lock(db, letter.conversation_id or 0)
    if current.state != "bot":
        return Outcome.NOT_BOTS
    if not inbox_store.taken_by_turn(db, letter.id):
        return Outcome.ANSWERED
    if not store.take(db, "turn", letter.id, epoch=current.epoch, **turns.AFRESH, created_at=conversations.now(db)):
        return Outcome.GONE
    inbox_store.give_back(db, letter.id)
    leases.wake(db, current.id)
    return Outcome.REPLAYED


def _ticket(db: Connection, letter: Letter) -> Outcome:
    """`attempts` of one: the desk is searched by our reference before anything is opened."""
    wanted = {"state": "wanted", "reason": "", "attempts": 1, "deaths": 0, "stopped_at": None}
    done = store.take(db, "ticket", letter.id, **wanted, due_at=conversations.now(db), lease_until=None)
    return Outcome.REPLAYED if done else Outcome.GONE


def _file(db: Connection, letter: Letter) -> Outcome:
    conversation = conversations.lock(db, letter.conversation_id or 0)
    if not store.take(db, "file", letter.id, state="pending", reason="", attempts=0, stopped_at=None):
        return Outcome.GONE
    leases.wake(db, conversation.id)
    return Outcome.REPLAYED


def _unreadable(db: Connection, letter: Letter) -> Outcome:
    return Outcome.UNREADABLE


_REPLAY: Mapping[str, Callable[[Connection, Letter], Outcome]] = {
    "message": _message,
    "turn": _turn,
    "ticket": _ticket,
    "file": _file,
    "event": _unreadable,
    "change": _unreadable,
}
