"""C1: the main chaos. Every event three times, four workers, SIGKILL all the time: nothing lost, doubled or out of order.

`TINGSU_CHAOS_SEED` repeats a run's posts and kills; the machine's own timing stays its own.
"""

import os
import random
import statistics
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import httpx
import pytest

from tests.chaos.agents import Shift
from tests.chaos.checker import check
from tests.chaos.ledgers import Books, Driver
from tests.chaos.storm import COPIES, MESSAGES, Connections, Killer, Raider, Size, people, schedule
from tests.chaos.telegram import TimedEmulator
from tests.chaos.world import World

SHORT = Size(conversations=200, kills=6, pauses=(1.0, 2.0))
LONG = Size(conversations=2000, kills=40, pauses=(2.0, 5.0))
# SQLite has one writer at a time: the same storm over fewer conversations.
LONG_ON_SQLITE = Size(conversations=400, kills=40, pauses=(2.0, 5.0))
LEASE = "8"  # seconds; a dead worker's conversations wait for it
SETTINGS = {
    "TINGSU_TELEGRAM_MODE": "webhook",
    "TINGSU_LEASE_SECONDS": LEASE,
    "TINGSU_TURN_TIMEOUT": "6",
    "TINGSU_CHAOS_LEASES": "10",
}
REST = 60.0  # seconds without any progress


def told_wrong(books: Books) -> list[str]:
    """Dialogue states that are not the sum of all turns, one after the other: some turn began from an old one."""
    said = defaultdict(list)
    for row in sorted(books.inbox, key=lambda row: row["sequence"]):
        said[row["conversation_id"]].append(row["text"])
    found = []
    for row in books.conversation:
        told = "\n".join(row["dialogue"].get("slots", {}).get("told", [])).split("\n")
        if told != said[row["id"]]:
            found.append(f"conversation {row['id']} was told {told} and has heard {said[row['id']]}")
    return found


def overtaken(driver: Driver, books: Books) -> int:
    """Neighbours that the sixteen connections brought in another order than their customer's."""
    places = {row["event_key"]: row["sequence"] for row in books.inbox}
    chats = defaultdict(list)
    for post in driver.posts:
        chats[post.chat].append(places.get(post.key, 0))
    return sum(a > b for order in chats.values() for a, b in pairwise(order))


@dataclass
class Storm:
    """One run: the posts, the deaths and the agent, all at once, and the silence after them."""

    world: World
    driver: Driver
    size: Size
    seed: int

    def __post_init__(self) -> None:
        self.posts = Connections(self.world, self.driver)
        self.killer = Killer(self.world, self.size, random.Random(f"{self.seed} kills"))
        self.shift = Shift(self.world.product.database, self.driver, take_overs=100_000)
        self.raider = Raider(self.world, self.shift, random.Random(f"{self.seed} agent"))
        self.wrong: list[str] = []
        self.recovery = 0.0

    def run(self, emulator: TimedEmulator) -> None:
        self.world.start(self.size.workers)
        killing = threading.Thread(target=self.killer.run, name="killer", daemon=True)
        raiding = threading.Thread(target=self.raider.run, name="agent", daemon=True)
        with httpx.Client(base_url=self.world.public, timeout=15, trust_env=False) as client:
            persons = people(self.size, client, emulator)
            events = schedule(persons, random.Random(self.seed))
            killing.start()
            raiding.start()
            self.posts.post(events, self.size.connections)
            killing.join()
            self.shift.stop.set()
            raiding.join()
            self._rest()
            for person in persons:
                person.looks(client, self.driver)

    def _rest(self) -> None:
        if not self.world.rest(REST):
            self.wrong.append(f"{self.world.waiting()} things are unfinished, and nothing happens")
        self.recovery = time.time() - self.killer.last

    def judge(self) -> tuple[str, list[str]]:
        """What to print, and everything that is wrong."""
        books = self.world.books()
        report = check(self.driver, books)
        wrong = [*self.posts.failures, *self.wrong, *report.red(), *told_wrong(books)]
        if len(books.complaint) != self.size.conversations:
            wrong.append(f"{len(books.complaint)} complaints of {self.size.conversations} customers")
        lines = (f"  {name:.<28} {value}" for name, value in self._figures(books).items())
        return "\n".join([*lines, str(report)]), wrong

    def _figures(self, books: Books) -> dict[str, object]:
        statuses, seconds = self.posts.answers.statuses, sorted(self.posts.answers.seconds)
        refused = {status: count for status, count in statuses.items() if status >= 300}
        opened = Counter(row["reference"] for row in books.local_ticket)
        return {
            "C1 on": self.world.product.database.engine.dialect.name,
            "seed": self.seed,
            "conversations, posts": f"{self.size.conversations}, {self.size.conversations * MESSAGES * COPIES}",
            "kills": dict(self.killer.kills),
            "taken, refused, no answer": f"{len(seconds)}, {refused}, {self.posts.answers.unanswered}",
            "overtaken on the way": overtaken(self.driver, books),
            "tickets doubled": sum(count - 1 for count in opened.values()),
            "recovery seconds": round(self.recovery, 1),
            "accept p99 to p50": f"{seconds[len(seconds) * 99 // 100] / statistics.median(seconds):.0f} : 1",
        }


def rage(storm: Storm, emulator: TimedEmulator, tell: Callable[[str], None]) -> None:
    storm.run(emulator)
    told, wrong = storm.judge()
    tell(told)
    assert not wrong, f"seed {storm.seed}, {len(wrong)} wrong:\n" + "\n".join(wrong[:20])


def seed() -> int:
    return int(os.environ.get("TINGSU_CHAOS_SEED") or random.SystemRandom().randrange(1_000_000))


MakeWorld = Callable[..., World]


@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_the_storm(make_world: MakeWorld, driver: Driver, emulator: TimedEmulator, tell: Callable[[str], None]) -> None:
    rage(Storm(make_world(**SETTINGS), driver, SHORT, seed()), emulator, tell)


@pytest.mark.chaos_long
@pytest.mark.timeout(2700)
def test_the_great_storm(
    make_world: MakeWorld, driver: Driver, emulator: TimedEmulator, tell: Callable[[str], None]
) -> None:
    world = make_world(**SETTINGS)
    rage(Storm(world, driver, LONG_ON_SQLITE if world.product.database.sqlite else LONG, seed()), emulator, tell)
