"""Customers who keep writing while a server fails, and what their posts met: nothing of ours may be restarted for it."""

import contextlib
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.chaos import process
from tests.chaos.checker import check
from tests.chaos.ledgers import Driver, Post
from tests.chaos.posts import Event, Person, TelegramPerson
from tests.chaos.servers import own_redis
from tests.chaos.storm import Connections, words
from tests.chaos.telegram import TimedEmulator
from tests.chaos.world import World
from tests.conftest import MEMORY
from tests.running import wait_for

LEASE = 16.0  # seconds; as in the product, longer than everything that a worker waits for while PostgreSQL is away
SETTINGS: dict[str, Any] = {
    "TINGSU_TELEGRAM_MODE": "webhook",
    "TINGSU_LEASE_SECONDS": str(LEASE),
    "TINGSU_TURN_TIMEOUT": "6",
    process.LEASES: str(LEASE),
    process.SILENCE: "2",
}
CUSTOMERS, CONNECTIONS = 12, 6
PACE = 0.05  # seconds between two new messages of the whole crowd
REST = 60.0  # seconds without any progress after the fault
BACK = 60.0  # seconds for the first post after the fault to be taken


@dataclass(frozen=True)
class Fault:
    """From when a server could no longer answer until just before it could again."""

    name: str
    began: float
    ended: float


@dataclass
class Crowd:
    """Telegram's customers, a few messages a second."""

    world: World
    driver: Driver
    emulator: TimedEmulator
    faults: list[Fault] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.posts = Connections(self.world, self.driver)
        self._quiet = threading.Event()

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Meanwhile they write; afterwards everything they wrote has been taken and answered."""
        crowd = [TelegramPerson(f"telegram-{n}", n, self.emulator) for n in range(CUSTOMERS)]
        thread = threading.Thread(
            target=self.posts.post, args=(self._talk(crowd), CONNECTIONS), name="crowd", daemon=True
        )
        thread.start()
        try:
            self.sees_taken(1)
            yield
            self.sees_taken(5)
        finally:
            self._quiet.set()
            thread.join(180)
        assert not thread.is_alive(), "posts are not taken"
        assert self.world.rest(REST), f"{self.world.waiting()} things are unfinished\n{self.world.logs()}"

    def _talk(self, crowd: Sequence[Person]) -> Iterator[Event]:
        number = 0
        while not self._quiet.wait(PACE):
            number += 1
            person = crowd[number % len(crowd)]
            yield person.says(words(person, number // len(crowd)))

    @contextlib.contextmanager
    def fault(self, name: str) -> Iterator[None]:
        """Around the time in which the server is certainly away."""
        began = time.time()
        yield
        self.faults.append(Fault(name, began, time.time()))

    def sees_taken(self, more: int) -> None:
        """Waits for so many more posts to be taken."""
        before = len(self.posts.answers.seconds)
        wait_for("posts to be taken", lambda: len(self.posts.answers.seconds) >= before + more, BACK, 0.05)

    def sees_refused(self, more: int) -> None:
        """Waits for so many more posts to be answered 503: the door does not hang."""
        before = self.posts.answers.statuses[503]
        wait_for("posts to be refused", lambda: self.posts.answers.statuses[503] >= before + more, BACK, 0.05)

    def ready(self) -> bool:
        return httpx.get(f"{self.world.public}/ready", timeout=30, trust_env=False).status_code == 200

    def accepted_during(self, fault: Fault) -> list[Post]:
        """Begun and acknowledged while the server was away."""
        return [
            post
            for post in self.driver.posts
            if post.began > fault.began and post.acked is not None and post.acked < fault.ended
        ]

    def recovery(self) -> float:
        """The longest time from a fault's end to the first post that began after it and was taken; in seconds."""
        return max(
            min(post.acked - fault.ended for post in self.driver.posts if post.acked and post.began > fault.ended)
            for fault in self.faults
        )

    def wrong(self) -> list[str]:
        """Whatever the checker finds, refusals of another kind than 503, and deaths of ours."""
        found = [*self.posts.failures, *check(self.driver, self.world.books()).red()]
        strange = Counter(self.posts.answers.statuses) - Counter(dict.fromkeys((200, 202, 503), 10**9))
        found += [f"{count} posts were answered {status}" for status, count in strange.items()]
        return found + [f"{death.name} died with {death.code}" for death in self.world.deaths]

    def figures(self) -> str:
        answers = self.posts.answers
        taken = {fault.name: len(self.accepted_during(fault)) for fault in self.faults}
        seconds = sum(fault.ended - fault.began for fault in self.faults)
        return (
            f"{len(self.driver.posts)} posts, lost 0, refused with 503 {answers.statuses[503]}, no answer"
            f" {answers.unanswered}, accepted during {taken} ({seconds:.1f} s), recovery {self.recovery():.1f} s"
        )


@contextlib.contextmanager
def crowded(database: str, driver: Driver, emulator: TimedEmulator, redis: str = "", **more: str) -> Iterator[Crowd]:
    """A world of two workers on this database; `redis` is its address, else one of the world's own."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tingsu-world-", dir=MEMORY)))
        redis = redis or stack.enter_context(own_redis()).url
        world = World(folder, database or f"sqlite:///{folder}/tingsu.sqlite3", redis, emulator, **(SETTINGS | more))
        stack.callback(world.close)
        world.start(workers=2, poller=False)
        yield Crowd(world, driver, emulator)
