"""Without the protections against the servers underneath us, and against processes that were only asleep."""

from typing import Any

import psycopg
import pytest
from redis import ConnectionError as RedisAway

from bot import guards
from bot.bell import Bell
from bot.store import database, leases, postgresql
from tests.chaos.mutants.mutant import Mutant


def _zombies_commit(patch: pytest.MonkeyPatch) -> None:
    """Whoever once had the lease goes on as if it were still theirs."""
    patch.setattr(leases, "renew_work", lambda *_: True)


def _sqlite_is_careless(patch: pytest.MonkeyPatch) -> None:
    prepare = database._prepare_sqlite

    def careless(connection: Any, record: Any) -> None:
        prepare(connection, record)
        connection.execute("PRAGMA synchronous=NORMAL")

    patch.setattr(database, "_prepare_sqlite", careless)


def _the_bell_fails_aloud(patch: pytest.MonkeyPatch) -> None:
    def ring(self: Bell, topic: str) -> None:
        raise RedisAway(topic)

    patch.setattr(Bell, "ring", ring)


def _no_guards(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(guards, "enforce", lambda *_: None)


def _waits_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(postgresql.GivesUp, "wait", psycopg.Connection.wait)


MUTANTS: dict[str, Mutant] = {
    "zombie": Mutant(
        "the check of the lease in a turn's commit",
        _zombies_commit,
        "tests/chaos/test_zombies.py::test_a_worker_that_slept_past_its_lease_commits_nothing[sqlite]",
    ),
    "sqlite full": Mutant(
        "synchronous=FULL on SQLite",
        _sqlite_is_careless,
        "tests/test_guards.py::test_nothing_is_wrong_with_the_embedded_installation",
    ),
    "bell": Mutant(
        "the silence of a bell that cannot be rung",
        _the_bell_fails_aloud,
        "tests/chaos/test_redis.py::test_a_message_is_taken_without_redis[sqlite]",
    ),
    "guards": Mutant(
        "the look at database and Redis before we serve",
        _no_guards,
        "tests/test_guards.py::test_no_door_opens_on_it",
    ),
    "giving up": Mutant(
        "the end of waiting for a frozen PostgreSQL",
        _waits_for_ever,
        "tests/chaos/test_databases.py::test_a_frozen_postgresql_is_given_up",
    ),
}
