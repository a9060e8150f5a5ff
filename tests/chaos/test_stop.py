"""L9: SIGTERM under load, one process after the other, again and again: no post lost, nothing refused falsely, no lease left."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import pytest

from tests.chaos.checker import check
from tests.chaos.ledgers import Driver
from tests.chaos.posts import Person
from tests.chaos.storm import Connections, Size, people, schedule
from tests.chaos.telegram import TimedEmulator
from tests.chaos.world import World
from tests.running import wait_for

GRACE = {
    "door": 13.0,
    "worker-0": 25.0,
    "poller": 25.0,
}  # seconds; the door's is the supervisor's, DESIGN has the others
LOAD = Size(conversations=10, kills=0, pauses=(0.0, 0.0), connections=2)
REST = 60.0  # seconds
WEBHOOK = {"TINGSU_TELEGRAM_MODE": "webhook"}


@dataclass
class Rolling:
    """Stops and starts one process after the other while others post."""

    world: World
    rounds: int
    codes: list[tuple[str, int | None]] = field(default_factory=list)
    leases_left: int = 0
    slowest: dict[str, float] = field(default_factory=dict)

    def run(self) -> None:
        """Returns when each has been restarted so often."""
        for _ in range(self.rounds):
            for name, grace in GRACE.items():
                self._restart(name, grace)
                time.sleep(0.3)

    def _restart(self, name: str, grace: float) -> None:
        wait_for(name, lambda: self.world.obeys(name), pause=0.1)
        began = time.monotonic()
        self.codes.append((name, self.world.stop(name, grace)))
        self.slowest[name] = max(self.slowest.get(name, 0.0), time.monotonic() - began)
        if name != "door":  # the one worker and the one poller: nobody else can hold a lease of theirs
            self.leases_left += self.world.leases(name)
        self.world.start_again(name)


def rolling_restart(world: World, driver: Driver, emulator: TimedEmulator, rounds: int) -> str:
    """New crowds post until the last restart is over; gives the figures. Raises AssertionError for what must not be."""
    world.start()
    roll, posts = Rolling(world, rounds), Connections(world, driver)
    rolling = threading.Thread(target=roll.run, daemon=True)
    everybody: list[Person] = []
    with httpx.Client(base_url=world.public, timeout=15, trust_env=False) as client:
        rolling.start()
        while rolling.is_alive():
            crowd = _begun(client, emulator, len(everybody))
            everybody += crowd
            posts.post(schedule(crowd, random.Random(len(everybody))), LOAD.connections)
        assert world.rest(REST), f"{world.waiting()} things are unfinished"
        for person in everybody:
            person.looks(client, driver)
    books = world.books()
    assert roll.codes == [(name, 0) for name, _ in roll.codes], f"each ends by itself, in time, with 0: {roll.codes}"
    assert roll.leases_left == 0, "a lease was left over"
    assert set(posts.answers.statuses) <= {200, 202}, "no 5xx, whether it was stored or not"
    assert not check(driver, books).red()
    slowest = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in roll.slowest.items())
    return (
        f"{len(roll.codes)} restarts (slowest exits: {slowest}), {sum(posts.answers.statuses.values())} posts taken, "
        f"{posts.answers.unanswered} not connected or cut off, {len(books.inbox)} rows"
    )


def _begun(client: httpx.Client, emulator: TimedEmulator, first: int) -> list[Person]:
    """Sessions are begun while the door restarts, too."""
    while True:
        try:
            return people(LOAD, client, emulator, first)
        except httpx.TransportError:
            time.sleep(0.2)


MakeWorld = Callable[..., World]


@pytest.mark.chaos
def test_a_rolling_restart_loses_no_post(
    make_world: MakeWorld, driver: Driver, emulator: TimedEmulator, tell: Callable[[str], None]
) -> None:
    tell(f"  L9: {rolling_restart(make_world(**WEBHOOK), driver, emulator, 3)}")


@pytest.mark.chaos_long
@pytest.mark.timeout(1200)
def test_twenty_rolling_restarts_lose_no_post(
    make_world: MakeWorld, driver: Driver, emulator: TimedEmulator, tell: Callable[[str], None]
) -> None:
    tell(f"  L9: {rolling_restart(make_world(**WEBHOOK), driver, emulator, 20)}")
