"""The database: one engine, and the two kinds of transaction that everything uses."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, NullPool, create_engine, event, text, update
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError, TimeoutError

from bot.store import postgresql
from bot.store.accounts import cursor
from bot.store.schema import db_now
from bot.store.sql import insert_new

SQLITE_PATIENCE = 15  # seconds to wait for another process's write transaction
# The database's own trouble: away, locked, full, or read-only (which PostgreSQL calls internal). Nothing was
# committed, and the same thing later may work. Every other error is about what we asked.
TROUBLE = (OperationalError, InterfaceError, InternalError, TimeoutError)
READY = "ready"  # row of `cursor` that health checks write
_UPGRADE_LOCK = 7_461_209  # any number that is ours: several machines may start at once


class Database:
    """Hands out transactions. Write transactions take SQLite's one write lock at their start."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.url = url
        self.engine = _engine(url, pool_size)
        # SQLite's own waiting is by sleeping and unfair: threads of one process queue up here instead.
        self._turn = threading.Lock() if self.sqlite else None

    @property
    def sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Commits at the end, or rolls everything back."""
        with self._in_turn(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        if self._turn is None:
            yield
            return
        if not self._turn.acquire(timeout=SQLITE_PATIENCE):
            raise TimeoutError("another thread has been writing for too long")
        try:
            yield
        finally:
            self._turn.release()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A look; nothing written in it is kept. On PostgreSQL each statement sees what is committed by then."""
        with self.engine.connect().execution_options(tingsu_read=True) as connection:
            try:
                yield connection
            finally:
                connection.rollback()

    def scrub(self) -> None:
        """Empties SQLite's write-ahead log, which still has pages as they were. PostgreSQL vacuums by itself."""
        if self.sqlite:
            raw = self.engine.raw_connection()  # a checkpoint cannot run inside a transaction
            try:
                raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                raw.close()

    def close(self) -> None:
        self.engine.dispose()


@contextmanager
def bounded(db: Connection, seconds: float) -> Iterator[None]:
    """Statements in here give up with an OperationalError: after so long each on PostgreSQL, all together on SQLite."""
    if db.dialect.name == "postgresql":
        db.execute(text(f"SET LOCAL statement_timeout = {int(seconds * 1000)}"))
        yield
        return
    deadline = time.monotonic() + seconds
    sqlite: Any = db.connection.dbapi_connection
    sqlite.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
    try:
        yield
    finally:
        sqlite.set_progress_handler(None, 0)


def _engine(url: str, pool_size: int) -> Engine:
    if url.startswith("sqlite"):
        engine = create_engine(
            url,
            connect_args={"timeout": SQLITE_PATIENCE},
            pool_size=pool_size,
            max_overflow=20,
            hide_parameters=True,  # they would land in tracebacks, customers' words among them
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    return postgresql.engine(url, pool_size)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    # secure_delete: what was erased is overwritten, not just unlinked.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get("tingsu_read")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _alembic(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def upgrade(database: Database, revision: str = "head") -> None:
    """Brings the tables to this version's shape; nothing to do when they have it."""
    config = _alembic(database.url)
    # A migration may take longer than any statement of ours.
    engine = database.engine if database.sqlite else create_engine(database.url, poolclass=NullPool)
    config.attributes["engine"] = engine
    with engine.connect() as holder:
        if not database.sqlite:
            holder.execute(text("SELECT pg_advisory_lock(:number)"), {"number": _UPGRADE_LOCK})
            holder.commit()
        command.upgrade(config, revision)
        if not database.sqlite:
            holder.execute(text("SELECT pg_advisory_unlock(:number)"), {"number": _UPGRADE_LOCK})
            holder.commit()


def shape(database: Database) -> str:
    """The tables' shape, as this version sees it: "current", "older" (or none at all), or "newer"."""
    known = ScriptDirectory.from_config(_alembic(database.url))
    with database.read() as db:
        found = set(MigrationContext.configure(db).get_current_heads())
    if found == set(known.get_heads()):
        return "current"
    return "older" if found <= {script.revision for script in known.walk_revisions()} else "newer"


def is_current(database: Database) -> bool:
    """Whether the tables have the shape that this version expects."""
    return shape(database) == "current"


def writable(database: Database) -> bool:
    """Whether a real write gets through now."""
    with database.write() as db:
        insert_new(db, cursor, source=READY, position="", lease_token=0, updated_at=db_now())
        db.execute(update(cursor).where(cursor.c.source == READY).values(updated_at=db_now()))
    return True
