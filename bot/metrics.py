"""The figures of /metrics: what SQL says at this moment, who can be reached, and what the processes have measured."""

import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from bot.measures import Measures
from bot.pressure import REASONS, Pressure
from bot.store import figures
from bot.store.conversations import now
from bot.store.database import Database, bounded

KEPT = 5.0  # seconds for which figures are given again: scrapers may be many, and look as often as they like
LONGEST_LOOK = 2.0  # seconds that one statement may take on PostgreSQL, all of them on SQLite

STATES = ("bot", "queued", "agent", "closed")
OUTBOX_CLASSES = ("turn", "notice", "courtesy", "agent")
OUTBOX_STATES = ("pending", "sending", "retry", "uncertain", "dead", "held")
TICKET_STATES = ("wanted", "opening", "uncertain", "refused")


class Figures(Collector):
    """Asked at each scrape, at most every KEPT seconds. A database that is away is a figure too, not an error."""

    def __init__(
        self, database: Database, home: Path, reach: Mapping[str, Callable[[], bool]], pressure: Pressure
    ) -> None:
        """`reach`: name -> whether it answers now; what is not part of this installation is left out."""
        self._database = database
        self._home = home
        self._reach = reach
        self._pressure = pressure
        self._looking = threading.Lock()
        self._looked_at = -KEPT
        self._found: list[Metric] = []

    def describe(self) -> Iterable[Metric]:
        """Nothing: prometheus-client would else look once when it registers this."""
        return []

    def collect(self) -> Iterable[Metric]:
        with self._looking:
            if time.monotonic() - self._looked_at >= KEPT:
                self._found = [*self._of_the_database(), *self._of_this_machine()]
                self._looked_at = time.monotonic()
            return list(self._found)

    def _of_the_database(self) -> list[Metric]:
        try:
            with self._database.read() as db, bounded(db, LONGEST_LOOK):
                return [*_of_sql(db), _one("tingsu_database_up", "1 when the database answered in time", 1)]
        except SQLAlchemyError:
            return [_one("tingsu_database_up", "1 when the database answered in time", 0)]

    def _of_this_machine(self) -> Iterable[Metric]:
        disk = shutil.disk_usage(self._home)
        yield _one("tingsu_disk_free_bytes", "Free space where the data directory is", disk.free)
        yield _one("tingsu_disk_size_bytes", "Size of the disk where the data directory is", disk.total)
        reached = _many("tingsu_reachable", "1 when this neighbour answers now: redis, rasa", "neighbour")
        for name, answers in self._reach.items():
            reached.add_metric([name], answers())
        yield reached
        refusing = {reason: reason in self._pressure.reasons() for reason in REASONS}
        yield _labelled("tingsu_refusing", "1 while the doors refuse new messages for this reason", "reason", refusing)


def exposition(measures: Measures, figures_of: Figures) -> bytes:
    """The text that a scrape gets, in Prometheus' format."""
    together = CollectorRegistry()
    together.register(figures_of)
    return generate_latest(together) + generate_latest(measures.of_this_machine())


def _of_sql(db: Connection) -> Iterable[Metric]:
    before = datetime.now(UTC)
    clock = now(db)
    between = before + (datetime.now(UTC) - before) / 2
    yield _one(
        "tingsu_database_clock_skew_seconds",
        "How far the database's clock is ahead of this machine's",
        (clock - between).total_seconds(),
    )
    yield from _messages(db, clock)
    yield from _outgoing(db, clock)
    yield from _tickets(db, clock)
    yield from _people(db, clock)
    yield from _leases(db, clock)
    yield from _sources(db, clock)
    lately = "Facts of the last five minutes, by kind, over all machines"
    yield _labelled("tingsu_recent_facts", lately, "kind", figures.lately(db, clock))


def _messages(db: Connection, clock: datetime) -> Iterable[Metric]:
    waiting = "Messages that neither a turn nor a person has taken, by state of their conversation"
    yield _labelled("tingsu_open_messages", waiting, "state", figures.open_messages(db), STATES)
    oldest = "Age of the oldest message that the bot has still to answer; 0 when there is none"
    yield _age("tingsu_oldest_unanswered_seconds", oldest, clock, figures.oldest_open_message(db))
    unseen = "For how long the conversation has waited that no worker has looked at; 0 when none is due"
    yield _age("tingsu_oldest_due_work_seconds", unseen, clock, figures.oldest_due_work(db))
    turns = "Unfinished turns: open, failing (open, Rasa had no result at least once), dead"
    yield _labelled("tingsu_turns", turns, "state", figures.turns(db))


def _outgoing(db: Connection, clock: datetime) -> Iterable[Metric]:
    family = GaugeMetricFamily(
        "tingsu_outbox_messages",
        "Outgoing messages that are neither sent nor superseded, by class and state",
        labels=("class", "state"),
    )
    found = figures.unsettled(db)
    for class_ in OUTBOX_CLASSES:
        for state in OUTBOX_STATES:
            family.add_metric([class_, state], found.get((class_, state), 0))
    yield family
    oldest = "For how long the oldest outgoing message has been due; 0 when none is"
    yield _age("tingsu_oldest_due_send_seconds", oldest, clock, figures.oldest_due_send(db))


def _tickets(db: Connection, clock: datetime) -> Iterable[Metric]:
    unopened = "Tickets that are not open at the desk, by state"
    yield _labelled("tingsu_tickets_unopened", unopened, "state", figures.unopened_tickets(db), TICKET_STATES)
    oldest = "Age of the oldest ticket that is still to be opened; 0 when there is none"
    yield _age("tingsu_oldest_unopened_ticket_seconds", oldest, clock, figures.oldest_unopened_ticket(db))


def _people(db: Connection, clock: datetime) -> Iterable[Metric]:
    yield _labelled("tingsu_conversations", "Conversations, by who answers", "state", figures.conversations(db), STATES)
    longest = "Longest wait for a person now; 0 when nobody waits"
    yield _age("tingsu_longest_queue_wait_seconds", longest, clock, figures.oldest_queued(db))


def _leases(db: Connection, clock: datetime) -> Iterable[Metric]:
    """An expired lease is a worker that died; how old the oldest is tells how long the recovery takes."""
    expired = _many("tingsu_expired_leases", "Leases that ran out and that nobody has taken over yet", "kind")
    oldest = _many("tingsu_expired_lease_age_seconds", "For how long the oldest of them has been over", "kind")
    for kind, (count, first) in figures.expired_leases(db, clock).items():
        expired.add_metric([kind], count)
        oldest.add_metric([kind], _seconds(clock, first))
    yield from (expired, oldest)


def _sources(db: Connection, clock: datetime) -> Iterable[Metric]:
    heard = _many(
        "tingsu_source_heard_seconds",
        "Since a polled source had news; a desk that answers has some every 15 s",
        "source",
    )
    read = _many("tingsu_source_read", "1 while some poller reads this source", "source")
    for source, (updated_at, until) in figures.sources(db).items():
        heard.add_metric([source], _seconds(clock, updated_at))
        read.add_metric([source], until is not None and until > clock)
    yield from (heard, read)


def _one(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=value)


def _many(name: str, meaning: str, label: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, labels=(label,))


def _labelled(name: str, meaning: str, label: str, found: Mapping[str, int], expected: Iterable[str] = ()) -> Metric:
    """What was not found counts as zero: an alert on a series that is missing never fires."""
    family = _many(name, meaning, label)
    for value in dict.fromkeys([*expected, *found]):
        family.add_metric([value], found.get(value, 0))
    return family


def _age(name: str, meaning: str, clock: datetime, since: datetime | None) -> Metric:
    return _one(name, meaning, _seconds(clock, since))


def _seconds(clock: datetime, since: datetime | None) -> float:
    return 0.0 if since is None else max(0.0, (clock - since).total_seconds())
