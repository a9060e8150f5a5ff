"""Tells open pages what has just been committed: one reader per process, fanned out to bounded queues.

Facts are nudges: a page that gets one reads what it shows again. A page must also look by itself now and then
(its heartbeat does), because a transaction that stayed open longer than OVERLAP can slip past the reader.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable
from queue import Empty, Full, Queue
from types import TracebackType
from typing import Self

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot.bell import Bell
from bot.store import facts
from bot.store.database import Database
from bot.store.facts import Fact

TICK = 1.0  # seconds between looks when no bell rings (Redis away, or nothing happens)
PAUSE = 0.05  # seconds after a look: a hundred rings in that time cost one look
OVERLAP = 5.0  # seconds; PostgreSQL gives numbers before the commit, so a lower one may appear later
ROOM = 256  # facts that a slow reader may be behind
_PAGE = 500

log = structlog.get_logger(__name__)


class Subscription:
    """One page's queue. `cut` is True once the reader was too slow: close it and read everything again."""

    def __init__(self, live: "Live", conversation_id: int | None, room: int) -> None:
        self.conversation_id = conversation_id
        self.cut = False
        self._live = live
        self._facts: Queue[Fact] = Queue(room)

    def next(self, seconds: float) -> Fact | None:
        """The next fact, or None after so many seconds; what was queued before a cut still comes."""
        try:
            return self._facts.get_nowait() if self.cut else self._facts.get(timeout=seconds)
        except Empty:
            return None

    def drain(self) -> None:
        """Drops what is queued: the page is about to look at everything anyway."""
        while not self._facts.empty():
            self._facts.get_nowait()

    def offer(self, fact: Fact) -> None:
        """Never waits: one slow page must not hold up the others."""
        if self.cut:
            return
        try:
            self._facts.put_nowait(fact)
        except Full:
            self.cut = True

    def close(self) -> None:
        self._live.forget(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class FactCursor:
    """Gives every fact once, also those that PostgreSQL shows late and out of order."""

    def __init__(self, database: Database, overlap: float = OVERLAP) -> None:
        self._database = database
        self._overlap = 0.0 if database.sqlite else overlap  # one writer at a time: numbers appear in order
        with database.read() as db:
            self._high = facts.newest(db)
        self._low = self._high  # below this, nothing can appear any more
        self._seen: set[int] = set()
        self._marks: deque[tuple[float, int]] = deque()  # (when, how far we had read)
        self._reread_at = 0.0

    def fresh(self) -> list[Fact]:
        now = time.monotonic()
        rereading = self._overlap > 0 and now >= self._reread_at
        if rereading:
            self._reread_at = now + TICK
        found = [fact for fact in self._after(self._low if rereading else self._high) if fact.id not in self._seen]
        self._remember(found, now)
        return found

    def _after(self, position: int) -> Iterable[Fact]:
        found: list[Fact] = []
        with self._database.read() as db:
            while page := facts.after(db, position, _PAGE):
                found += page
                position = page[-1].id
                if len(page) < _PAGE:
                    break
        return found

    def _remember(self, found: list[Fact], now: float) -> None:
        self._high = max([self._high, *(fact.id for fact in found)])
        if not self._overlap:
            self._low = self._high
            return
        self._seen.update(fact.id for fact in found)
        self._marks.append((now, self._high))
        while self._marks and now - self._marks[0][0] > self._overlap:
            self._low = self._marks.popleft()[1]
        self._seen = {number for number in self._seen if number > self._low}


class Live:
    """The process's one reader of facts. Its thread starts with the first page, so that a fork is harmless."""

    def __init__(self, database: Database, bell: Bell, *, room: int = ROOM) -> None:
        self._database = database
        self._bell = bell
        self._room = room
        self._lock = threading.Lock()
        self._pages: dict[int | None, set[Subscription]] = {}
        self._cursor: FactCursor | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def subscribe(self, *, conversation_id: int | None = None) -> Subscription:
        """Facts of one conversation, or all; everything committed after this returns is told."""
        self._start()
        subscription = Subscription(self, conversation_id, self._room)
        with self._lock:
            self._pages.setdefault(conversation_id, set()).add(subscription)
        return subscription

    def forget(self, subscription: Subscription) -> None:
        with self._lock:
            pages = self._pages.get(subscription.conversation_id, set())
            pages.discard(subscription)
            if not pages:
                self._pages.pop(subscription.conversation_id, None)

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(TICK + 1)

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            self._cursor = FactCursor(self._database)
            self._thread = threading.Thread(target=self._read, name="live", daemon=True)
            self._thread.start()

    def _read(self) -> None:
        listener = self._bell.listener(("live",))
        while not self._stop.is_set():
            listener.wait(TICK)
            self._look()
            self._stop.wait(PAUSE)
        listener.close()

    def _look(self) -> None:
        """The database may be away: the pages stay open and hear of it all afterwards."""
        assert self._cursor is not None  # noqa: S101 - made before the thread
        try:
            found = self._cursor.fresh()
        except SQLAlchemyError as error:
            log.warning("live.database_away", error=type(error).__name__)
            return
        for fact in found:
            self._tell(fact)

    def _tell(self, fact: Fact) -> None:
        with self._lock:
            pages = [*self._pages.get(None, ())]
            if fact.conversation_id is not None:
                pages += self._pages.get(fact.conversation_id, ())
        for page in pages:
            page.offer(fact)
