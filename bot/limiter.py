"""Counts how often somebody does something: in Redis for all processes, in this process while Redis is away."""

import math
import time
from collections.abc import Callable
from functools import cache

import structlog
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from redis import RedisError

_PATIENCE = 0.08  # seconds that a question to Redis may take; a customer waits behind it
_PAUSE = 5.0  # seconds without asking again after Redis did not answer

log = structlog.get_logger(__name__)


class Limiter:
    """Never raises for a Redis that is away, and never lets everything through either."""

    def __init__(
        self, redis_url: str = "", prefix: str = "tingsu", named: Callable[[str], str] = lambda who: who
    ) -> None:
        """`named` makes a keyed hash of whoever is counted: no visitor's id or address stands in Redis."""
        self._named = named
        self._local = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared = _shared(redis_url, prefix) if redis_url else None
        self._away_until = 0.0

    def allow(self, scope: str, who: str, limit: str) -> bool:
        """Counts one; False when `limit` (like "20/minute") is used up. Refused attempts do not count."""
        item = _rate(limit)
        if self._shared is not None and time.monotonic() >= self._away_until:
            try:
                return self._shared.hit(item, scope, self._named(who))
            except (RedisError, OSError) as error:
                self._away_until = time.monotonic() + _PAUSE
                log.warning("limiter.redis_away", error=type(error).__name__)
        return self._local.hit(item, scope, who)

    def retry_after(self, scope: str, who: str, limit: str) -> int:
        """Whole seconds after which another attempt may get through; at least 1."""
        item = _rate(limit)
        return max(1, min(math.ceil(self._reset(item, scope, who) - time.time()), item.get_expiry()))

    def _reset(self, item: RateLimitItem, scope: str, who: str) -> float:
        if self._shared is not None and time.monotonic() >= self._away_until:
            try:
                return float(self._shared.get_window_stats(item, scope, self._named(who)).reset_time)
            except (RedisError, OSError):
                self._away_until = time.monotonic() + _PAUSE
        return float(self._local.get_window_stats(item, scope, who).reset_time)


@cache
def _rate(limit: str) -> RateLimitItem:
    """Few different ones, asked with every request."""
    return parse(limit)


def _shared(redis_url: str, prefix: str) -> SlidingWindowCounterRateLimiter:
    """`limits` spells a socket's address redis+unix://."""
    url = f"redis+{redis_url}" if redis_url.startswith("unix:") else redis_url
    storage = RedisStorage(
        url, key_prefix=f"{prefix}.limit", socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE
    )
    return SlidingWindowCounterRateLimiter(storage)
