"""Kills the product's processes at seeded moments, and remembers when."""

import random
import time
from dataclasses import dataclass, field

from tests.running import Running

PAUSES = (2.0, 4.0)  # seconds between two kills: thirteen of them take about 40 s
_PATIENCE = 20.0  # seconds that a victim may need to be there again

# How often each dies. Rasa needs many seconds to start: it dies once, early, so that its recovery is seen too.
# The supervisor waits twice as long after each death, 8 s after the fifth: nobody dies more often than that.
_EMBEDDED = {"public": 3, "worker": 4, "actions": 2, "valkey": 3, "rasa": 1}
_ELSEWHERE = {"public": 4, "worker": 5, "actions": 3, "rasa": 1}  # Redis is not ours to kill


def plan(rng: random.Random, embedded: bool) -> list[tuple[float, str]]:
    """(pause before it, victim), in an order that the seed decides."""
    times = _EMBEDDED if embedded else _ELSEWHERE
    victims = [victim for victim, count in times.items() for _ in range(count)]
    rng.shuffle(victims)
    victims.remove("rasa")
    victims.insert(rng.randrange(3), "rasa")
    return [(rng.uniform(*PAUSES), victim) for victim in victims]


@dataclass
class Killer:
    """Carries out a plan; a victim that is still down is waited for."""

    product: Running
    plan: list[tuple[float, str]]
    kills: list[tuple[float, str]] = field(default_factory=list)  # (time, victim)
    missed: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Returns after the last kill."""
        for pause, victim in self.plan:
            time.sleep(pause)
            self._kill(victim)

    def _kill(self, victim: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            try:
                self.product.kill(victim)
            except (KeyError, ProcessLookupError, FileNotFoundError):
                time.sleep(0.2)
                continue
            self.kills.append((time.time(), victim))
            return
        self.missed.append(victim)
