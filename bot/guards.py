"""Looks at database and Redis before we serve: refuses what loses acknowledged messages, warns of what surprises.

PostgreSQL: https://www.postgresql.org/docs/current/runtime-config-wal.html
Redis: https://redis.io/docs/latest/develop/reference/eviction/
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

import structlog
from redis import Redis, RedisError
from sqlalchemy import Connection, text

from bot.bell import presence
from bot.errors import Unsafe
from bot.settings import Settings
from bot.store.database import Database, shape

_REDIS_PATIENCE = 2.0  # seconds
_SQLITE_FULL = 2  # https://www.sqlite.org/pragma.html#pragma_synchronous

log = structlog.get_logger()


@dataclass(frozen=True)
class Finding:
    """Something that an operator should know. `refuses`: we do not serve on it."""

    refuses: bool
    what: str
    todo: str

    def __str__(self) -> str:
        return f"{'refused' if self.refuses else 'warning'}: {self.what}. {self.todo}"


def enforce(settings: Settings, database: Database) -> None:
    """Logs the warnings. Raises Unsafe with everything that is refused; DBAPIError when there is no database."""
    found = findings(settings, database)
    for one in found:
        if not one.refuses:
            log.warning("start.warning", what=one.what, todo=one.todo)
    refused = [str(one) for one in found if one.refuses]
    if refused:
        raise Unsafe("\n".join(refused))


def findings(settings: Settings, database: Database) -> list[Finding]:
    """Everything that was found, in the order in which it was looked at. Raises DBAPIError without a database."""
    look = _sqlite if database.sqlite else _postgresql
    with database.read() as db:
        found = [*look(db)]
    return [*found, *_shape(database), *_redis_address(settings), *_redis(settings)]


def _postgresql(db: Connection) -> Iterator[Finding]:
    """As our own sessions have it: per role, per database or from the server's file."""

    def shown(name: str) -> str:
        return str(db.scalar(text(f"SHOW {name}")))

    if shown("synchronous_commit") == "off":
        yield Finding(
            True,
            "PostgreSQL's synchronous_commit is off: a crash would lose messages that were acknowledged",
            "Set it to on (ALTER DATABASE … SET synchronous_commit = on).",
        )
    if shown("fsync") == "off":
        yield Finding(
            True, "PostgreSQL's fsync is off: a power cut would ruin the database", "Set fsync = on and restart it."
        )
    if shown("full_page_writes") == "off":
        yield Finding(
            False,
            "PostgreSQL's full_page_writes is off: a power cut may tear pages",
            "Set it to on, unless the file system writes whole pages.",
        )


def _sqlite(db: Connection) -> Iterator[Finding]:
    level = int(db.scalar(text("PRAGMA synchronous")) or 0)
    if level < _SQLITE_FULL:
        yield Finding(
            True,
            f"SQLite's synchronous is {level}, below FULL: a power cut would lose messages that were acknowledged",
            "Let bot/store/database.py set it: nothing else may.",
        )
    journal = str(db.scalar(text("PRAGMA journal_mode")))
    if journal != "wal":
        yield Finding(
            journal in ("off", "memory"),
            f"SQLite's journal is {journal} instead of wal",
            "Put TINGSU_HOME on a local disk: network file systems cannot do it.",
        )


def _shape(database: Database) -> Iterator[Finding]:
    found = shape(database)
    if found == "older":
        yield Finding(False, "the database has the shape of an older version", "Run `python -m bot migrate`.")
    if found == "newer":
        yield Finding(
            False,
            "the database has the shape of a newer version of Tingsu",
            "Start that version here too, soon.",
        )


def _redis_address(settings: Settings) -> Iterator[Finding]:
    address = urlsplit(settings.redis_url)
    if address.scheme == "unix" or not address.hostname or address.password or _this_machine(address.hostname):
        return
    yield Finding(
        True,
        f"Redis on {address.hostname} has no password: whoever reaches it can read addresses and switch off our limits",
        "Set one there, and TINGSU_REDIS_URL=redis://:password@host:port/number (rediss:// across a network).",
    )


def _this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _redis(settings: Settings) -> Iterator[Finding]:
    """Redis may be away: nothing is kept there, so that is a warning too."""
    if not settings.redis_url:
        return
    client = Redis.from_url(settings.redis_url, socket_timeout=_REDIS_PATIENCE, socket_connect_timeout=_REDIS_PATIENCE)
    try:
        memory = client.info("memory")
        others = client.pubsub_channels(presence(settings.redis_prefix, "*"))
    except (RedisError, OSError) as error:
        yield Finding(
            False,
            f"Redis does not answer as it should ({type(error).__name__})",
            "Until it does, everything takes up to a second longer and limits are counted per process.",
        )
        return
    finally:
        client.close()
    yield from _eviction(memory)
    yield from _neighbours(settings, others)


def _eviction(memory: dict[str, object]) -> Iterator[Finding]:
    """A Redis that is full and refuses is noticed by the limiter; one that evicts lets its counts start anew."""
    policy = str(memory.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction" and memory.get("maxmemory"):
        yield Finding(
            False,
            f"Redis evicts when it is full ({policy}): rate limits would be forgotten without a word",
            "Set maxmemory-policy noeviction there.",
        )


def _neighbours(settings: Settings, channels: Sequence[bytes | str]) -> Iterator[Finding]:
    ours = presence(settings.redis_prefix, settings.installation)
    if any(name not in (ours, ours.encode()) for name in channels):
        yield Finding(
            False,
            f"another installation uses the prefix {settings.redis_prefix!r} in the same Redis: they share rate limits",
            "Give each its own TINGSU_REDIS_PREFIX; or, if it is the same database, the same TINGSU_DATABASE_URL.",
        )
