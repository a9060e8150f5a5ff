"""What each process counts and times itself: accepts, questions to Rasa, sends, refused posts. No ids, nothing personal.

In the multiprocess mode of prometheus-client (PROMETHEUS_MULTIPROC_DIR, set by bot/run.py for its children) every
process of a machine writes its figures to files of its own, and whoever is scraped adds them up.
https://prometheus.github.io/client_python/multiprocess/
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

from bot.errors import DialogueDown, SendFailed, Throttled, TurnFailed

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus-client's own name for it

_ACCEPT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_TURN_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
_SEND_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)

_TURN_OUTCOMES: Mapping[type[BaseException], str] = {DialogueDown: "down", TurnFailed: "failed"}


class Measures:
    """One per process and product."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._accept = Histogram(
            "tingsu_accept_duration_seconds",
            "Time from an event's parsed form to its commit, by kind of channel",
            ("channel",),
            buckets=_ACCEPT_BUCKETS,
            registry=self.registry,
        )
        self._turn = Histogram(
            "tingsu_turn_duration_seconds",
            "Time that Rasa took for one question, by outcome: answered, failed (no result), down (not reached)",
            ("outcome",),
            buckets=_TURN_BUCKETS,
            registry=self.registry,
        )
        self._send = Histogram(
            "tingsu_send_duration_seconds",
            "Time of one call to a platform, by kind of channel and outcome: sent, retry, refused (for good), uncertain",
            ("channel", "outcome"),
            buckets=_SEND_BUCKETS,
            registry=self.registry,
        )
        self._refused = Counter(
            "tingsu_posts_refused",
            "Requests that a door refused before anything was stored, by door and reason",
            ("door", "reason"),
            registry=self.registry,
        )

    @contextmanager
    def accepting(self, channel: str) -> Iterator[None]:
        """Only what was committed counts: a database that is away is another figure."""
        began = time.perf_counter()
        yield
        self._accept.labels(channel).observe(time.perf_counter() - began)

    @contextmanager
    def turning(self) -> Iterator[None]:
        began, outcome = time.perf_counter(), "answered"
        try:
            yield
        except BaseException as error:
            outcome = _TURN_OUTCOMES.get(type(error), "failed")
            raise
        finally:
            self._turn.labels(outcome).observe(time.perf_counter() - began)

    @contextmanager
    def sending(self, channel: str) -> Iterator[None]:
        began, outcome = time.perf_counter(), "sent"
        try:
            yield
        except BaseException as error:
            outcome = _send_outcome(error)
            raise
        finally:
            self._send.labels(channel, outcome).observe(time.perf_counter() - began)

    def refused(self, door: str, reason: str) -> None:
        """`reason` is a code of ours, never something from the request."""
        self._refused.labels(door, reason).inc()

    def of_this_machine(self) -> CollectorRegistry:
        """What every process of this machine has measured; outside the multiprocess mode only this one."""
        folder = os.environ.get(FOLDER)
        if not folder:
            return self.registry
        together = CollectorRegistry()
        MultiProcessCollector(together, path=folder)  # type: ignore[no-untyped-call]
        return together


def _send_outcome(error: BaseException) -> str:
    if isinstance(error, Throttled):
        return "retry"
    if isinstance(error, SendFailed):
        return "refused" if error.permanent else "retry"
    return "uncertain"  # SendUncertain, or a bug of a channel: the sender treats it alike
