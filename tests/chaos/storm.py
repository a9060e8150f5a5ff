"""The big storm of C1: many conversations, every event posted three times by sixteen connections, and what is killed meanwhile.

The order is one that a platform could make: the first posts of a conversation's events are in its order, a repeat comes at
any time after its event, and sixteen connections work on the list in parallel, so that neighbours overtake each other.
"""

import contextlib
import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import httpx

from bot.errors import NotYours
from bot.store import conversations
from bot.store.users import User
from tests.chaos.agents import Shift
from tests.chaos.ledgers import Claim, Driver, Post
from tests.chaos.posts import Answers, Event, Person, TelegramPerson, WebPerson, deliver
from tests.chaos.talk_server import FILE_IT
from tests.chaos.telegram import TimedEmulator
from tests.chaos.world import World

MESSAGES, COPIES = 5, 3
FILING = 3  # which of the five messages files the complaint


@dataclass(frozen=True)
class Size:
    """How much of it. `pauses` in seconds, between two deaths."""

    conversations: int
    kills: int
    pauses: tuple[float, float]
    connections: int = 16
    workers: int = 4


def people(size: Size, client: httpx.Client, emulator: TimedEmulator, first: int = 0) -> list[Person]:
    """Half of them at Telegram, half at the web chat; `first` is the number of the first."""
    made: list[Person] = []
    for number in range(first, first + size.conversations):
        if number % 2:
            made.append(WebPerson(f"web-{number}", number, client))
        else:
            made.append(TelegramPerson(f"telegram-{number}", number, emulator))
    return made


def words(person: Person, number: int) -> str:
    return f"{person.name}, {number}. 宽带又断了" + (f", {FILE_IT}" if number == FILING else "")


def schedule(persons: Sequence[Person], rng: random.Random) -> list[Event]:
    """All posts in the order in which they are begun."""
    turns = [place for place in range(len(persons)) for _ in range(MESSAGES * COPIES)]
    rng.shuffle(turns)
    own = [_own_order(person, rng) for person in persons]
    return [next(own[place]) for place in turns]


def _own_order(person: Person, rng: random.Random) -> Iterator[Event]:
    """One conversation's posts: shuffled, and renumbered by their first appearance."""
    events = [person.says(words(person, number)) for number in range(1, MESSAGES + 1)]
    drawn = [number for number in range(MESSAGES) for _ in range(COPIES)]
    rng.shuffle(drawn)
    order = {number: place for place, number in enumerate(dict.fromkeys(drawn))}
    return iter([events[order[number]] for number in drawn])


@dataclass
class Connections:
    """The driver: sixteen connections and what they saw."""

    world: World
    driver: Driver
    answers: Answers = field(default_factory=Answers)
    failures: list[str] = field(default_factory=list)
    _posts: dict[str, Post] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def post(self, events: Iterable[Event], count: int) -> None:
        """Returns when every post has been taken."""
        todo = iter(events)
        threads = [threading.Thread(target=self._connection, args=(todo,), daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _connection(self, todo: Iterator[Event]) -> None:
        with httpx.Client(base_url=self.world.public, timeout=15, trust_env=False) as client:
            while (task := self._next(todo)) is not None:
                event, post = task
                try:
                    deliver(client, event, post, self.driver, self.answers)
                except AssertionError as refusal:
                    self.failures.append(str(refusal))

    def _next(self, todo: Iterator[Event]) -> tuple[Event, Post] | None:
        with self._lock:
            event = next(todo, None)
            if event is None:
                return None
            if event.key not in self._posts:
                self._posts[event.key] = self.driver.begin(event.chat, event.key)
            return event, self._posts[event.key]


@dataclass
class Killer:
    """Kills a random worker, every fourth time the door, and now and then the poller."""

    world: World
    size: Size
    rng: random.Random
    kills: Counter[str] = field(default_factory=Counter)
    last: float = 0.0

    def run(self) -> None:
        """Returns after the last kill."""
        for number in itertools.count(1):
            if sum(self.kills.values()) >= self.size.kills:
                return
            time.sleep(self.rng.uniform(*self.size.pauses))
            victim = self._victim(number)
            while not self.world.kill(victim):  # still down from the last time
                time.sleep(0.05)
            self.kills[victim.partition("-")[0]] += 1
            self.last = time.time()

    def _victim(self, number: int) -> str:
        if number % 4 == 2:
            return "door"
        return "poller" if number % 8 == 5 else f"worker-{self.rng.randrange(self.size.workers)}"


@dataclass
class Raider:
    """An agent who takes conversations in the middle of a turn, and soon gives them back with everything still open."""

    world: World
    shift: Shift
    rng: random.Random

    def run(self) -> None:
        """Until the shift ends."""
        agent = self.world.product.people.add("lin", "agent", "a long enough password")
        while not self.shift.stop.wait(self.rng.uniform(0.1, 0.6)):
            chosen = self.shift.choose(self.rng)
            if chosen is not None:
                with contextlib.suppress(NotYours):  # the conversation has moved since it was chosen
                    self._take(chosen, agent)
                self.shift.done(chosen)

    def _take(self, conversation_id: int, agent: User) -> None:
        ownership = self.world.product.ownership
        with self.world.product.database.read() as db:
            seen = conversations.read(db, conversation_id)
        assert seen is not None
        claimed = ownership.claim(conversation_id, seen.epoch, agent)
        returned = time.time()
        time.sleep(self.rng.uniform(0.1, 0.5))
        self.shift.driver.claims.append(Claim(conversation_id, returned, time.time(), clean=not claimed.uncertain))
        ownership.release(conversation_id, agent, claimed.epoch, 0)
