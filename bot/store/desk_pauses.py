"""Until when a desk is left alone, by all workers: because it does not answer, or because it asked for it."""

from datetime import datetime

from sqlalchemy import Column, Connection, Integer, String, Table, select, update

from bot.store.schema import UtcTime, metadata
from bot.store.sql import insert_new

desk_pause = Table(
    "desk_pause",
    metadata,
    Column("desk", String(32), primary_key=True),
    Column("failures", Integer, nullable=False),  # calls in a row without an answer
    Column("until", UtcTime),  # null: ask at once
)
_c = desk_pause.c


def read(db: Connection, desk: str) -> tuple[int, datetime | None]:
    """Calls in a row without an answer, and the end of the pause."""
    row = db.execute(select(_c.failures, _c.until).where(_c.desk == desk)).first()
    return (row.failures, row.until) if row else (0, None)


def take_trial(db: Connection, desk: str, clock: datetime, until: datetime) -> bool:
    """The one try after a pause: who gets it keeps the others away until then."""
    done = db.execute(update(desk_pause).where(_c.desk == desk, _c.until <= clock).values(until=until))
    return done.rowcount == 1


def count_failure(db: Connection, desk: str) -> int:
    """One more call without an answer; gives how many in a row."""
    insert_new(db, desk_pause, desk=desk, failures=0)
    db.execute(update(desk_pause).where(_c.desk == desk).values(failures=_c.failures + 1))
    return read(db, desk)[0]


def rest(db: Connection, desk: str, until: datetime) -> None:
    """Nobody asks before then."""
    db.execute(update(desk_pause).where(_c.desk == desk).values(until=until))


def throttle(db: Connection, desk: str, until: datetime) -> None:
    """It has answered, and wants a pause; a longer one that it asked for before stays."""
    insert_new(db, desk_pause, desk=desk, failures=0)
    stays = (_c.failures == 0) & (_c.until >= until)
    db.execute(update(desk_pause).where(_c.desk == desk, ~stays | _c.until.is_(None)).values(failures=0, until=until))


def forgive(db: Connection, desk: str) -> bool:
    """It has answered: the count starts again. False when there was nothing to forgive."""
    done = db.execute(update(desk_pause).where(_c.desk == desk, _c.failures > 0).values(failures=0, until=None))
    return done.rowcount == 1
