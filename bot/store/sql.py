"""The few statements that SQLite and PostgreSQL spell differently."""

from typing import Any

from sqlalchemy import Connection, Select, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_new(db: Connection, table: Table, **values: Any) -> bool:
    """Inserts a row unless one of its unique keys is taken; says whether it did."""
    make = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
    statement = make(table).values(**values).on_conflict_do_nothing()
    return db.execute(statement).rowcount == 1


def inserted_id(db: Connection, table: Table, **values: Any) -> int | None:
    """Like `insert_new`, and gives the new row's `id`; None when a unique key was taken."""
    make = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
    statement = make(table).values(**values).on_conflict_do_nothing().returning(table.c.id)
    found = db.execute(statement).scalar_one_or_none()
    return None if found is None else int(found)


def locked(statement: Select[Any], *, skip: bool = False) -> Select[Any]:
    """Locks the rows on PostgreSQL; on SQLite the whole write transaction is the lock already."""
    return statement.with_for_update(skip_locked=skip)
