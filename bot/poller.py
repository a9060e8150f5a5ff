"""Reads what does not come by itself: polled channels and ticket desks.

One thread per source, one reader per source over all machines (a lease in SQL), and one commit for what was read and
how far. Nothing that a source or the database does ends its thread: it waits longer and tries again.
"""

import random
import signal
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import structlog

from bot.bell import Bell
from bot.channel import Account, Polled
from bot.complaint import Complaints, desk_source
from bot.desk import Change, Desk
from bot.errors import LeaseLost, Throttled, TingsuError
from bot.inbox import Inbox
from bot.message import Incoming, Kind
from bot.store import cursors
from bot.store.database import TROUBLE, Database

if TYPE_CHECKING:
    from bot.build import Product

log = structlog.get_logger()

LEASE = 60.0  # seconds; longer than a long poll, the commit after it, and a wait for SQLite's write lock
RENEW_AFTER = 15.0  # seconds
TAKEN_WAIT = 3.0  # seconds between looks at a source that someone else reads
LONGEST_PAUSE = 60.0  # seconds between tries while a source fails
LONGEST_THROTTLE = 3600.0
DESK_TICK = 1.0  # seconds between looks at a desk; its bell shortens them
SAY_HEARD_AFTER = 15.0  # seconds: how old the "as of" of a quiet desk may get
AT_ONCE = 0.2  # seconds
IDLE_PAUSE = 1.0
JOIN_SECONDS = 6.0


class Source(Protocol):
    """Something to read. `name` is its row in the table of cursors."""

    name: str

    def register(self) -> bool:
        """Once per lease, before reading; False when there is nothing to poll."""
        ...

    def read(self, token: int, position: str) -> str:
        """Reads once, commits, and gives the new position. May wait some seconds. Raises LeaseLost."""
        ...

    def interrupt(self) -> None:
        """Ends a wait in `read`, because the process stops."""
        ...


class ChannelSource:
    """The events of one channel account."""

    def __init__(self, inbox: Inbox, account: Account, channel: Polled) -> None:
        self.name = f"channel:{account.kind}/{account.slug}"
        self._inbox = inbox
        self._account = account
        self._channel = channel

    def register(self) -> bool:
        return self._channel.register()

    def read(self, token: int, position: str) -> str:
        batch = self._channel.fetch(position)
        if not batch.incoming and batch.cursor == position:
            return position
        try:
            self._inbox.accept_batch(self._account, batch.incoming, (self.name, token, batch.cursor))
        except (LeaseLost, *TROUBLE):
            raise
        except Exception as error:  # one event that we cannot digest must not cut off everybody behind it
            log.exception("batch not accepted", source=self.name, error=type(error).__name__)
            self._one_by_one(batch.incoming)
            self._inbox.accept_batch(self._account, [], (self.name, token, batch.cursor))
        return batch.cursor

    def _one_by_one(self, events: Sequence[Incoming]) -> None:
        for event in events:
            try:
                self._inbox.accept(self._account, event)
            except TROUBLE:
                raise
            except Exception as error:
                log.exception("event set aside", source=self.name, error=type(error).__name__)
                self._inbox.accept(self._account, Incoming(event.event_key, Kind.MALFORMED, detail="not accepted"))

    def interrupt(self) -> None:
        self._channel.close()


class DeskSource:
    """What changes at a ticket desk. A quiet one is noted as heard now and then: status answers are dated by it."""

    def __init__(self, complaints: Complaints, desk: Desk, bell: Bell) -> None:
        self.name = desk_source(desk.kind)
        self._complaints = complaints
        self._desk = desk
        self._listener = bell.listener(["desk"])
        self._told_at = 0.0

    def register(self) -> bool:
        return True

    def read(self, token: int, position: str) -> str:
        changes, cursor = self._desk.changes(position)
        if changes or cursor != position or time.monotonic() - self._told_at > SAY_HEARD_AFTER:
            self._take(token, position, changes, cursor)
            self._told_at = time.monotonic()
        if not changes:
            self._listener.wait(DESK_TICK)
        return cursor

    def _take(self, token: int, position: str, changes: Sequence[Change], cursor: str) -> None:
        try:
            self._complaints.take_changes(self.name, token, changes, cursor)
        except (LeaseLost, *TROUBLE):
            raise
        except Exception as error:  # one change that we cannot digest must not hold up all that follow
            log.exception("changes not taken over", source=self.name, error=type(error).__name__)
            for change in changes:
                self._take_alone(token, position, change)
            self._complaints.take_changes(self.name, token, [], cursor)

    def _take_alone(self, token: int, position: str, change: Change) -> None:
        try:
            self._complaints.take_changes(self.name, token, [change], position)
        except (LeaseLost, *TROUBLE):
            raise
        except Exception as error:
            log.exception("change set aside", source=self.name, error=type(error).__name__)
            self._complaints.set_aside(change, type(error).__name__)

    def interrupt(self) -> None:
        """Waits no longer than DESK_TICK anyway."""


class Reader:
    """Reads one source for as long as the process lives."""

    def __init__(self, database: Database, source: Source, stop: threading.Event) -> None:
        self._database = database
        self._source = source
        self._stop = stop
        self._lease: tuple[int, str] | None = None
        self._renewed_at = 0.0
        self._failures = 0

    def run(self) -> None:
        while not self._stop.is_set():
            pause = self.round()
            if pause is None:
                break
            self._stop.wait(pause)
        self._give_back()

    def round(self) -> float | None:
        """Reads once if the lease is ours; gives the seconds to wait then, None when there is nothing to poll."""
        try:
            if self._lease is None and not self._take():
                return TAKEN_WAIT
            if self._lease is None:
                return None
            pause = self._read(*self._lease)
        except Throttled as asked:
            log.warning("source asks for a pause", source=self._source.name, seconds=asked.retry_after)
            return min(max(asked.retry_after, 1.0), LONGEST_THROTTLE)
        except LeaseLost:
            self._lease = None
            return TAKEN_WAIT
        except TingsuError as error:
            log.warning("source cannot be read", source=self._source.name, reason=str(error))
            return self._longer_pause()
        except Exception as error:  # the database's trouble, or a bug: the next round may do better
            log.exception("reading failed", source=self._source.name, error=type(error).__name__)
            return self._longer_pause()
        self._failures = 0
        return pause

    def _take(self) -> bool:
        """False while someone else reads. No lease after True: there is nothing to poll."""
        with self._database.write() as db:
            lease = cursors.lease(db, self._source.name, LEASE)
        if lease is None:
            return False
        self._lease, self._renewed_at = lease, time.monotonic()
        try:
            polled = self._source.register()
        except BaseException:
            self._give_back()
            raise
        if not polled:
            self._give_back()
        return True

    def _read(self, token: int, position: str) -> float:
        """Gives a pause for a source that answers at once and has nothing, instead of making us wait."""
        if time.monotonic() - self._renewed_at > RENEW_AFTER:
            with self._database.write() as db:
                if not cursors.renew(db, self._source.name, token, LEASE):
                    raise LeaseLost(self._source.name)
            self._renewed_at = time.monotonic()
        began = time.monotonic()
        self._lease = token, self._source.read(token, position)
        idle = self._lease[1] == position and time.monotonic() - began < AT_ONCE
        return IDLE_PAUSE if idle else 0.0

    def _longer_pause(self) -> float:
        """Doubles with each failure in a row; jitter keeps many processes from knocking at the same moment."""
        self._failures += 1
        return min(2.0 ** min(self._failures - 1, 10), LONGEST_PAUSE) * random.uniform(0.5, 1.0)  # noqa: S311

    def _give_back(self) -> None:
        if self._lease is None:
            return
        token, self._lease = self._lease[0], None
        try:
            with self._database.write() as db:
                cursors.release(db, self._source.name, token)
        except Exception as error:  # it runs out by itself
            log.warning("lease not given back", source=self._source.name, error=type(error).__name__)


def sources(product: "Product") -> list[Source]:
    """Every polled channel account, and the desk."""
    found: list[Source] = []
    for account in product.accounts.values():
        channel = product.channels[account.id]
        if isinstance(channel, Polled):
            found.append(ChannelSource(product.inbox, account, channel))
    found.append(DeskSource(product.complaints, product.desk, product.bell))
    return found


def run(database: Database, reading: list[Source], stop: threading.Event) -> None:
    """Reads every source in its own thread until `stop` is set; returns within about JOIN_SECONDS after that."""
    threads = [
        threading.Thread(target=Reader(database, source, stop).run, name=source.name, daemon=True) for source in reading
    ]
    for thread in threads:
        thread.start()
    while not stop.wait(1.0):  # a signal is handled between waits
        pass
    for source in reading:
        source.interrupt()
    deadline = time.monotonic() + JOIN_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


def main(product: "Product") -> int:
    """`python -m bot poller`: until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    run(product.database, sources(product), stop)
    return 0
