"""Redis as a doorbell: it wakes those who wait, carries no data, and may be away at any time."""

import contextlib
import threading
import time
from collections.abc import Sequence

from redis import Redis, RedisError
from redis.client import PubSub

RING_SECONDS = 0.05
_PAUSE_AFTER_FAILURE = 1.0


def presence(prefix: str, installation: str) -> str:
    """A topic that nobody rings: whoever listens to it shows that this installation is there (bot/guards.py)."""
    return f"{prefix}.installation.{installation}"


class Bell:
    """Rings and waits. Without Redis, or while it is away, waiting is just sleeping."""

    def __init__(self, redis_url: str, prefix: str = "tingsu", installation: str = "") -> None:
        self._url = redis_url
        self._prefix = prefix
        self._installation = installation
        self._ringer = self._connect(RING_SECONDS) if redis_url else None
        self._silent_until = 0.0

    def _connect(self, seconds: float) -> Redis:
        return Redis.from_url(self._url, socket_timeout=seconds, socket_connect_timeout=seconds)

    def ring(self, topic: str) -> None:
        """Best effort, at most about 50 ms; never raises."""
        if self._ringer is None or time.monotonic() < self._silent_until:
            return
        try:
            self._ringer.publish(f"{self._prefix}.{topic}", b"")
        except (RedisError, OSError):
            self._silent_until = time.monotonic() + _PAUSE_AFTER_FAILURE

    def alive(self) -> bool:
        """Whether Redis answers now; for health pages."""
        if self._ringer is None:
            return False
        try:
            return bool(self._ringer.ping())
        except (RedisError, OSError):
            return False

    def listener(self, topics: Sequence[str]) -> "Listener":
        """One per waiting thread."""
        names = [f"{self._prefix}.{topic}" for topic in topics]
        if self._installation:
            names.append(presence(self._prefix, self._installation))
        return Listener(self._connect(5.0) if self._url else None, names)

    def close(self) -> None:
        if self._ringer is not None:
            self._ringer.close()


class Listener:
    """Waits for a ring; reconnects by itself; the wait is never longer than asked."""

    def __init__(self, redis: Redis | None, topics: list[str]) -> None:
        self._redis = redis
        self._topics = topics
        self._pubsub: PubSub | None = None
        self._nap = threading.Event()

    def wait(self, seconds: float) -> bool:
        """True when it rang. After a ring, all rings so far are used up."""
        if self._redis is None:
            self._nap.wait(seconds)
            return False
        try:
            return self._heard(seconds)
        except (RedisError, OSError):
            self._forget()
            self._nap.wait(min(seconds, _PAUSE_AFTER_FAILURE))
            return False

    def _heard(self, seconds: float) -> bool:
        assert self._redis is not None  # noqa: S101 - wait() has looked
        if self._pubsub is None:
            self._pubsub = self._redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
            self._pubsub.subscribe(*self._topics)
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if self._pubsub.get_message(timeout=left) is not None:
                while self._pubsub.get_message(timeout=0) is not None:
                    pass
                return True
        return False

    def _forget(self) -> None:
        if self._pubsub is not None:
            with contextlib.suppress(RedisError, OSError):
                self._pubsub.close()
            self._pubsub = None

    def close(self) -> None:
        self._forget()
        if self._redis is not None:
            self._redis.close()
