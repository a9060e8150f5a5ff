"""Kills the product's processes at seeded moments, and remembers when."""

import random
import time
from dataclasses import dataclass, field

from tests.running import Running

SECONDS = 40.0  # of killing
PAUSES = (2.0, 4.0)  # seconds between two kills
_PATIENCE = 20.0  # seconds that a victim may need to be there again

# Rasa needs many seconds to start: it dies once, early, so that the end of the run shows the recovery too.
_OFTEN = ("public", "worker", "worker", "public", "actions")


def plan(rng: random.Random, embedded: bool) -> list[tuple[float, str]]:
    """(pause before it, victim): each victim at least once, as many as fit into SECONDS."""
    once = ["public", "worker", "rasa", "actions", *(["valkey"] if embedded else [])]
    rng.shuffle(once)
    once.insert(rng.randrange(2), once.pop(once.index("rasa")))
    pauses: list[float] = []
    while sum(pauses) < SECONDS:
        pauses.append(rng.uniform(*PAUSES))
    more = [rng.choice(_OFTEN) for _ in range(len(pauses) - len(once))]
    return list(zip(pauses, once + more, strict=True))


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
