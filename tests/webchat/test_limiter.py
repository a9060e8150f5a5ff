"""The limiter: counts in Redis when it is there, in the process when it is not, and never raises."""

import socket
import time
import uuid

import pytest
from redis import Redis, RedisError

from bot.limiter import Limiter
from tests.conftest import absent

REDIS = "redis://127.0.0.1:6379/15"
THREE = "3/minute"


def _away() -> str:
    """An address that refuses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"redis://127.0.0.1:{probe.getsockname()[1]}/0"


def _redis() -> str:
    try:
        Redis.from_url(REDIS, socket_timeout=1).ping()
    except (RedisError, OSError):
        absent("Redis on 127.0.0.1:6379")
    return REDIS


@pytest.mark.parametrize("address", ["", "away", "there"])
def test_so_many_and_no_more(address: str) -> None:
    limiter = Limiter({"": "", "away": _away(), "there": _redis()}[address] if address else "")
    who = uuid.uuid4().hex
    assert [limiter.allow("test", who, THREE) for _ in range(5)] == [True, True, True, False, False]
    assert limiter.allow("test", uuid.uuid4().hex, THREE), "everyone has a count of their own"
    assert limiter.allow("other", who, THREE), "and one for each scope"
    assert 1 <= limiter.retry_after("test", who, THREE) <= 60


def test_two_processes_share_a_count_in_redis() -> None:
    address, who = _redis(), uuid.uuid4().hex
    one, other = Limiter(address), Limiter(address)
    assert [one.allow("test", who, THREE), other.allow("test", who, THREE), one.allow("test", who, THREE)] == [True] * 3
    assert not other.allow("test", who, THREE)


def test_a_redis_that_hangs_costs_a_moment_once() -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(8)
        limiter = Limiter(f"redis://127.0.0.1:{mute.getsockname()[1]}/0")
        started = time.monotonic()
        assert [limiter.allow("test", "somebody", THREE) for _ in range(4)] == [True, True, True, False]
        assert time.monotonic() - started < 0.5


def test_a_socket_address_is_understood() -> None:
    assert Limiter("unix:///nowhere/redis.sock").allow("test", "somebody", THREE)
