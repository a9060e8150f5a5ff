"""What a process may have died over is done one at a time in each process, so that the next death takes no bystander.

Bystanders of a death are suspected, too: without this they would start again beside what kills, and die with it.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

AGAIN = timedelta(seconds=0.5)  # for a suspect that has to wait for another


class Suspects:
    """One per process, shared by its threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def alone(self, suspected: bool) -> Iterator[bool]:
        """Whether it may be done inside this: anything unsuspected, and one suspect at a time. Never waits."""
        if not suspected:
            yield True
            return
        taken = self._lock.acquire(blocking=False)
        try:
            yield taken
        finally:
            if taken:
                self._lock.release()
