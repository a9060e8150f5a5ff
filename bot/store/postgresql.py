"""PostgreSQL connections that give up: a server that is frozen, or behind a dead network, must not hang us for ever.

https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
"""

from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import Engine, create_engine, event, make_url

T = TypeVar("T")

CONNECT = 5  # seconds
# The server's own limits come first. One of ours that is frozen in the middle of a transaction keeps a conversation
# locked no longer than that, and a statement that waits for it fails in time to be told so.
STATEMENT, IDLE_IN_TRANSACTION = 15, 15  # seconds
SILENCE = 20.0  # seconds without an answer: a frozen server keeps no limits, and its kernel answers keepalives
POOL = 10.0  # seconds that a request waits for one of our connections
_LOOK = 0.1  # seconds between looks at the clock


class GivesUp(psycopg.Connection[Any]):
    """Closes itself when an answer takes longer than SILENCE; what was asked may have been done or not."""

    def wait(self, gen: PQGen[T], interval: float = _LOOK, timeout: float | None = None) -> T:
        try:
            return super().wait(gen, interval, SILENCE if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
                self.pgconn.finish()  # it still waits for its answer: nobody must get that one as theirs
            raise


def engine(url: str, pool_size: int) -> Engine:
    made = create_engine(
        url,
        connect_args=_limits(url),
        pool_size=pool_size,
        max_overflow=20,
        pool_timeout=POOL,
        pool_pre_ping=True,
        hide_parameters=True,  # they would land in tracebacks, customers' words among them
    )
    event.listen(made, "do_connect", _connect)
    return made


def _connect(_dialect: Any, _record: Any, arguments: list[Any], options: dict[str, Any]) -> GivesUp:
    return GivesUp.connect(*arguments, **options)


def _limits(url: str) -> dict[str, str | int]:
    """For libpq. What the address itself asks for in `options` stays."""
    silence: dict[str, str | int] = {  # seconds, the last one milliseconds: a network that swallows everything
        "connect_timeout": CONNECT,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        "tcp_user_timeout": 20_000,
    }
    if "options" in make_url(url).query:
        return silence
    times = {"statement_timeout": STATEMENT, "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION}
    return {**silence, "options": " ".join(f"-c {name}={limit}s" for name, limit in times.items())}
