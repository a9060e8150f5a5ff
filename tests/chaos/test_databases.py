"""R5, R6, C7: PostgreSQL is killed, stopped, frozen, made read-only or full while customers write. Nothing pretends.

Each test has a cluster of its own. What is waited for is an event (a refusal, an acceptance), never a time.
"""

import os
import random
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from bot.store import postgresql
from bot.store.database import Database
from tests.chaos.crowd import LEASE, Crowd, crowded
from tests.chaos.ledgers import Driver
from tests.chaos.servers import OwnPostgres, filled, own_postgres, small_disk
from tests.chaos.telegram import TimedEmulator
from tests.running import wait_for

pytestmark = [pytest.mark.real, pytest.mark.timeout(300), pytest.mark.xdist_group("databases")]

REFUSALS = 3  # posts that are answered 503 before a fault ends

Tell = Callable[[str], None]


def judge(crowd: Crowd, name: str, tell: Tell) -> None:
    """Nothing lost or doubled, and no lease outlives its time."""
    wrong = crowd.wrong()
    tell(f"{name}: {crowd.figures()}")
    assert not wrong, "\n".join(wrong[:20])
    wait_for("the last lease to end", lambda: not crowd.world.leases("worker"), LEASE + 10, 0.1)


def nothing_accepted(crowd: Crowd) -> None:
    accepted = [post for fault in crowd.faults for post in crowd.accepted_during(fault)]
    assert not accepted, f"taken while it could not be stored: {accepted[:5]}"


def stopped(crowd: Crowd, server: OwnPostgres, seconds: float = 0.0) -> None:
    """pg_ctl stop -m immediate, and later a start: recovery from its log."""
    server.end(signal.SIGQUIT)
    with crowd.fault("stopped"):
        crowd.sees_refused(REFUSALS)
        assert not crowd.ready()
        time.sleep(seconds)
    server.start()


def backend_killed(crowd: Crowd, server: OwnPostgres) -> None:
    """One of ours dies by SIGKILL: PostgreSQL throws all the others out, too, and recovers."""
    os.kill(random.choice(server.backends()), signal.SIGKILL)
    crowd.sees_taken(3)


def frozen(crowd: Crowd, server: OwnPostgres) -> None:
    """Nothing in PostgreSQL moves, and its kernel says that the connections are fine."""
    with server.frozen(), crowd.fault("frozen"):
        crowd.sees_refused(REFUSALS)
        assert not crowd.ready()


def read_only(crowd: Crowd, server: OwnPostgres) -> None:
    server.run("ALTER SYSTEM SET default_transaction_read_only = on")
    server.run("SELECT pg_reload_conf()")
    crowd.sees_refused(1)
    with crowd.fault("read-only"):
        crowd.sees_refused(REFUSALS)
        assert not crowd.ready()
    server.run("ALTER SYSTEM RESET default_transaction_read_only")
    server.run("SELECT pg_reload_conf()")


FAULTS = {"backend killed": backend_killed, "stopped": stopped, "frozen": frozen, "read-only": read_only}


@pytest.mark.chaos
def test_postgresql_fails_in_every_way(driver: Driver, emulator: TimedEmulator, tell: Tell) -> None:
    with own_postgres() as server, crowded(server.database(), driver, emulator) as crowd:
        with crowd.writing():
            for fail in FAULTS.values():
                fail(crowd, server)
                crowd.sees_taken(3)
            wait_for("readiness to be green", crowd.ready, 30, 0.1)
        judge(crowd, "R5, R6, C7: PostgreSQL backend killed, stopped, frozen, read-only", tell)
        nothing_accepted(crowd)


@pytest.mark.chaos_long
@pytest.mark.timeout(1200)
def test_postgresql_fails_again_and_again(driver: Driver, emulator: TimedEmulator, tell: Tell) -> None:
    with own_postgres() as server, crowded(server.database(), driver, emulator) as crowd:
        with crowd.writing():
            for _ in range(5):
                for fail in FAULTS.values():
                    fail(crowd, server)
                    crowd.sees_taken(20)
            stopped(crowd, server, seconds=20)
        judge(crowd, "R5, R6, C7: each fault five times, and 20 s away", tell)
        nothing_accepted(crowd)


@pytest.mark.chaos
def test_the_disk_of_postgresql_is_full(driver: Driver, emulator: TimedEmulator, tell: Tell) -> None:
    """A post that finds room in a page is stored and taken; none is taken without being stored."""
    with (
        small_disk(32) as disk,
        own_postgres() as server,
        crowded(server.database(disk), driver, emulator) as crowd,
    ):
        with crowd.writing():
            with filled(disk), crowd.fault("disk full"):
                crowd.sees_refused(REFUSALS)
                assert not crowd.ready()
            crowd.sees_taken(10)
            wait_for("readiness to be green", crowd.ready, 30, 0.1)
        judge(crowd, "R6: PostgreSQL's disk full", tell)


@pytest.mark.chaos
def test_a_frozen_postgresql_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own time limits are frozen with it, and its kernel answers keepalives: ours must end the wait."""
    monkeypatch.setattr(postgresql, "SILENCE", 1.0)
    with own_postgres() as server, ThreadPoolExecutor(1) as pool:
        database = Database(server.database().replace("postgresql", "postgresql+psycopg"))
        failure: BaseException | None = None
        with suppress(OperationalError), database.read() as db:
            db.execute(text("SELECT 1"))
            with server.frozen(), suppress(TimeoutError):
                failure = pool.submit(db.execute, text("SELECT 2")).exception(10)
        assert isinstance(failure, OperationalError), "it waits for ever"
        assert failure.connection_invalidated
        with database.read() as db:
            assert db.scalar(text("SELECT 3")) == 3, "the late answer is nobody's"
        database.close()
