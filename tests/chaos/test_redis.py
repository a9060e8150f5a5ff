"""R1 to R4: Redis is killed, flushed, full of memory or of disk while customers write. Nobody notices but the latency."""

import contextlib
import signal
import time
from collections.abc import Callable

import pytest
from redis import RedisError

from bot.build import Product
from tests.chaos.crowd import Crowd, crowded
from tests.chaos.ledgers import Driver
from tests.chaos.servers import OwnRedis, filled, own_redis, small_disk
from tests.chaos.telegram import TimedEmulator
from tests.running import wait_for
from tests.talking import chat, text

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("redis")]

ANSWERS = 4  # answers that reach customers during a fault: work goes on by polling
Tell = Callable[[str], None]


def goes_on(crowd: Crowd, answers: int = ANSWERS) -> None:
    """Messages are taken and answered, though Redis is of no use."""
    crowd.sees_taken(answers)
    before = len(crowd.driver.arrived)
    wait_for("answers", lambda: len(crowd.driver.arrived) >= before + answers, 60, 0.05)
    assert crowd.ready(), "without Redis it is slower, but ready"


def killed(crowd: Crowd, server: OwnRedis) -> None:
    server.end(signal.SIGKILL)
    with crowd.fault("killed"):
        goes_on(crowd)
    server.start()


def frozen(crowd: Crowd, server: OwnRedis) -> None:
    """Takes connections and says nothing."""
    server.freeze()
    with crowd.fault("frozen"):
        goes_on(crowd)
    server.thaw()


def flushed(crowd: Crowd, server: OwnRedis) -> None:
    with server.client() as client, crowd.fault("flushed"):
        for _ in range(5):
            client.flushall()
            goes_on(crowd, 1)


def out_of_memory(policy: str) -> Callable[[Crowd, OwnRedis], None]:
    def fail(crowd: Crowd, server: OwnRedis) -> None:
        with server.client() as client:
            client.config_set("maxmemory-policy", policy)
            client.config_set("maxmemory", "2mb")
            with crowd.fault(policy):
                full = _fill(client)
                assert full == (policy == "noeviction"), "as intended"
                goes_on(crowd)
            client.config_set("maxmemory", "64mb")
            client.flushall()

    return fail


def _fill(client: object) -> bool:
    """Whether it refuses after a while."""
    try:
        for number in range(3000):
            client.set(f"ballast-{number}", "x" * 1024)  # type: ignore[attr-defined]  # redis-py's
    except RedisError:
        return True
    return False


FAULTS: list[Callable[[Crowd, OwnRedis], None]] = [
    killed,
    frozen,
    flushed,
    out_of_memory("noeviction"),
    out_of_memory("allkeys-lru"),
]


def rage(crowd: Crowd, server: OwnRedis, rounds: int, away: float) -> None:
    with crowd.writing():
        for _ in range(rounds):
            for fail in FAULTS:
                fail(crowd, server)
                crowd.sees_taken(3)
        server.end(signal.SIGKILL)
        time.sleep(away)
        server.start()


def judge(crowd: Crowd, name: str, tell: Tell) -> None:
    wrong = crowd.wrong()
    tell(f"{name}: {crowd.figures()}")
    assert not wrong, "\n".join(wrong[:20])
    assert set(crowd.posts.answers.statuses) == {200}, "nobody was refused because of Redis"


@pytest.mark.chaos
def test_redis_fails_in_every_way(driver: Driver, emulator: TimedEmulator, tell: Tell) -> None:
    with own_redis() as server, crowded("", driver, emulator, server.url) as crowd:
        rage(crowd, server, rounds=1, away=0)
        judge(crowd, "R1, R2, R3: Redis killed, frozen, flushed, out of memory", tell)


@pytest.mark.chaos_long
@pytest.mark.timeout(1200)
def test_redis_fails_again_and_again(driver: Driver, emulator: TimedEmulator, tell: Tell) -> None:
    with own_redis() as server, crowded("", driver, emulator, server.url) as crowd:
        rage(crowd, server, rounds=5, away=20)
        judge(crowd, "R1, R2, R3: each fault five times, and 20 s away", tell)


@pytest.mark.chaos
@pytest.mark.parametrize("fsync", ["always", "everysec"])
def test_the_disk_of_redis_is_full(fsync: str, driver: Driver, emulator: TimedEmulator, tell: Tell) -> None:
    """An operator's Redis that keeps an append-only file: it exits with `always`, and refuses to write with `everysec`."""
    with contextlib.ExitStack() as stack:
        disk = stack.enter_context(small_disk(8))
        keeping = ("--dir", str(disk), "--appendonly", "yes", "--appendfsync", fsync)
        server = stack.enter_context(own_redis(*keeping))
        crowd = stack.enter_context(crowded("", driver, emulator, server.url))
        with crowd.writing():
            with filled(disk), crowd.fault(fsync):
                wait_for("Redis to notice", lambda: _useless(server), 30, 0.05)
                goes_on(crowd)
            if server.ended():
                server.start(*keeping)
            crowd.sees_taken(3)
        judge(crowd, f"R4: Redis's disk full, appendfsync {fsync}", tell)


def _useless(server: OwnRedis) -> bool:
    try:
        with server.client() as client:
            client.set("ballast", "x" * 8192)
    except (RedisError, OSError):
        return True
    return False


@pytest.mark.chaos
def test_a_message_is_taken_without_redis(make_product: Callable[..., Product]) -> None:
    product = make_product(TINGSU_REDIS_URL="redis://127.0.0.1:9/0")
    try:
        accepted = product.inbox.accept(chat(product), text("ann", "宽带断了"))
    except (RedisError, OSError) as error:
        pytest.fail(f"Redis is needed to take a message: {error!r}")
    assert not accepted.duplicate
