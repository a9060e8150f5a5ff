"""What all tables share: metadata, aware UTC times, JSON, the database's clock, and ids."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Index, Integer, MetaData, String, text
from sqlalchemy import types as sqltypes
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import ColumnElement, FunctionElement

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself only for INTEGER PRIMARY KEY.
Id = BigInteger().with_variant(Integer(), "sqlite")


def letter_index(table: str, which: str) -> Index:
    """Of the few rows that somebody has to look at; a question that uses it says the same words."""
    return Index(f"ix_{table}_letter", "id", postgresql_where=text(which), sqlite_where=text(which))


_SQLITE_FORMAT = "%Y-%m-%d %H:%M:%S.%f"


class UtcTime(sqltypes.TypeDecorator[datetime]):
    """An aware UTC datetime. SQLite keeps it as text of fixed width, so that comparing text compares time."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sqltypes.TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(26))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive time never reaches the database")
        utc = value.astimezone(UTC)
        return utc.strftime(_SQLITE_FORMAT) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if isinstance(value, str):
            return datetime.strptime(value, _SQLITE_FORMAT).replace(tzinfo=UTC)
        if not isinstance(value, datetime):
            raise TypeError(f"expected a time, got {type(value).__name__}")
        return value.astimezone(UTC)


class db_now(FunctionElement[datetime]):
    """The database's own clock, at this instant (not at the start of the transaction)."""

    type = UtcTime()
    inherit_cache = True


@compiles(db_now, "postgresql")
def _now_postgresql(element: ColumnElement[Any], compiler: Any, **kw: Any) -> str:
    return "clock_timestamp()"


@compiles(db_now, "sqlite")
def _now_sqlite(element: ColumnElement[Any], compiler: Any, **kw: Any) -> str:
    return "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
