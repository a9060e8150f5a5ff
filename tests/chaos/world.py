"""A whole installation for chaos without Rasa: N workers, a door, a poller, a bell, each to be killed and started again.

Workers and the poller are forked from a process that has loaded everything, so that a hundred deaths are cheap; the door is
gunicorn as shipped. Everything listens on this machine only and belongs to one test.
"""

import contextlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import Table, func, or_, select, update

from bot import run as product_run
from bot import settings
from bot.build import Product, build
from bot.complaint import desk_source
from bot.faults import Moment
from bot.store.accounts import cursor
from bot.store.conversations import conversation
from bot.store.conversations import now as db_clock
from bot.store.database import Database, upgrade
from bot.store.inbox import inbox
from bot.store.outbox import WAITING, outbox
from bot.store.tickets import ticket
from bot.supervisor import _die_with_parent, answers_http, listens
from tests.chaos import mutants, process
from tests.chaos.ledgers import Books, read_books
from tests.chaos.paper_desk import PaperDesk
from tests.chaos.telegram import SECRET, TimedEmulator
from tests.conftest import MEMORY, PG_HOST, absent, pg_available
from tests.running import ROOT, free_port, wait_for

RESTART_AFTER = 0.2  # seconds that a dead process stays away
_BETWEEN_LOOKS = 0.05
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["__main__", "tests.chaos.process"])


# What a process takes leases on.
_LEASED = {"worker": (conversation, ticket), "poller": (cursor,)}


def _lease_columns(table: Table) -> list[str]:
    return [name for name in ("lease_until", "send_lease_until") if name in table.c]


@contextlib.contextmanager
def scratch_postgresql() -> Iterator[str]:
    """The address of a database of the caller's own, dropped at the end."""
    name = f"tingsu_chaos_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(PG_HOST, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield f"{PG_HOST.rsplit('/', 1)[0]}/{name}"
    finally:
        with psycopg.connect(PG_HOST, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextlib.contextmanager
def own_valkey(folder: Path) -> Iterator[str]:
    """The address of a Valkey that may be flushed and killed."""
    port = free_port()
    command = product_run._valkey(folder, port, {}).command
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, preexec_fn=_die_with_parent())  # noqa: PLW1509
    try:
        wait_for("Valkey", lambda: listens(port))
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.kill()
        server.wait()


@dataclass(frozen=True)
class Death:
    """A process that ended. `code` as subprocess gives it: negative for a signal."""

    at: float
    name: str
    code: int


class Forked:
    """A child that runs `process.run`."""

    def __init__(self, arguments: tuple[str, ...], environ: Mapping[str, str], log: Path) -> None:
        self._process: ForkServerProcess = _FORKS.Process(target=process.run, args=(arguments, environ, str(log)))
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def code(self) -> int | None:
        return self._process.exitcode

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, seconds: float) -> None:
        self._process.join(seconds)


class Gunicorn:
    """The public door: a master and its worker, in a process group of their own."""

    def __init__(self, port: int, environ: Mapping[str, str], log: Path) -> None:
        command = product_run._door("public", "tests.chaos.process", port, environ).command
        with open(log, "ab") as out:
            self._process = subprocess.Popen(
                (*command[:-1], "tests.chaos.process:door()"),
                cwd=ROOT,
                env=dict(environ),
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=_die_with_parent(),  # noqa: PLW1509 - libc is loaded before the fork
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def code(self) -> int | None:
        return self._process.poll()

    def signal(self, number: int) -> None:
        """SIGKILL takes the worker with the master, as a machine's death would."""
        with contextlib.suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                os.killpg(self._process.pid, number)
            else:
                os.kill(self._process.pid, number)

    def wait(self, seconds: float) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)


@contextlib.contextmanager
def worlds(kind: str, emulator: TimedEmulator) -> Iterator[Callable[..., "World"]]:
    """Makes one world on sqlite or postgresql. `TINGSU_CHAOS_KEEP=1` keeps its folder, with everybody's logs."""
    folder = Path(tempfile.mkdtemp(prefix="tingsu-world-", dir=MEMORY))
    with contextlib.ExitStack() as stack:
        redis_url = stack.enter_context(own_valkey(folder / "valkey"))
        if kind == "sqlite":
            database_url = f"sqlite:///{folder}/tingsu.sqlite3"
        elif pg_available():
            database_url = stack.enter_context(scratch_postgresql())
        else:
            absent("PostgreSQL server on 127.0.0.1:5432")

        def make(*, impatient: bool = False, **more: str) -> World:
            world = World(folder, database_url, redis_url, emulator, impatient=impatient, **more)
            stack.callback(world.close)
            return world

        yield make
    if os.environ.get("TINGSU_CHAOS_KEEP"):
        print(f"\n  kept: {folder}")
    else:
        shutil.rmtree(folder)


class World:
    """A thread of ours starts each process again when it has died.

    `impatient`, for worlds of one worker: the leases of a dead process end with it. `more` is environment.
    """

    def __init__(
        self,
        home: Path,
        database_url: str,
        redis_url: str,
        emulator: TimedEmulator,
        *,
        impatient: bool = False,
        **more: str,
    ) -> None:
        self.port = free_port()
        self.public = f"http://127.0.0.1:{self.port}"
        self.deaths: list[Death] = []
        self.paper = PaperDesk(home / "paper.jsonl")
        self._home = home
        self._impatient = impatient
        self._armed = home / "armed"
        self._armed.mkdir()
        self._talk_port = free_port()
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TINGSU_")},
            mutants.VARIABLE: os.environ.get(mutants.VARIABLE, ""),
            "TINGSU_HOME": str(home),
            "TINGSU_DATABASE_URL": database_url,
            "TINGSU_REDIS_URL": redis_url,
            "TINGSU_RASA_URL": f"http://127.0.0.1:{self._talk_port}",
            "TINGSU_SECRET_KEY": "for tests only, and long enough to pass",
            "TINGSU_TELEGRAM_TOKEN": emulator.token,
            "TINGSU_TELEGRAM_API_URL": emulator.base_url,
            "TINGSU_TELEGRAM_WEBHOOK_SECRET": SECRET,
            "TINGSU_PUBLIC_URL": "https://chaos.example",
            process.ARMED: str(self._armed),
            process.PAPER: str(home / "paper.jsonl"),
            **more,
        }
        scratch = Database(settings.read(self.environ).database_url)
        upgrade(scratch)
        scratch.close()
        self.product: Product = build(settings.read(self.environ), desk=self.paper)
        self._children: dict[str, Forked | Gunicorn] = {}
        self._wanted: dict[str, float] = {}  # name -> when to start it, if it does not run
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)

    def start(self, workers: int = 1, *, door: bool = True, poller: bool = True) -> None:
        """Returns when everything that was asked for runs and the door answers."""
        names = ["talk server", *(f"worker-{number}" for number in range(workers))]
        names += ["door"] * door + ["poller"] * poller
        self._wanted = dict.fromkeys(names, 0.0)
        self._keeper.start()
        wait_for("the talk server", partial(listens, self._talk_port))
        if door:
            wait_for("the door", partial(answers_http, self.port, "/live"))

    def _keep(self) -> None:
        while not self._closing.wait(_BETWEEN_LOOKS):
            with self._lock:
                for name in list(self._wanted):
                    self._look(name)

    def _look(self, name: str) -> None:
        child = self._children.get(name)
        if child is None:
            if time.time() >= self._wanted[name]:
                self._children[name] = self._spawn(name)
        elif (code := child.code()) is not None:
            child.signal(signal.SIGKILL)  # what a dead master leaves
            self._bury(name, code)
            self._wanted[name] = time.time() + RESTART_AFTER

    def _bury(self, name: str, code: int) -> None:
        del self._children[name]
        if self._impatient:
            self._free_leases(name)
        self.deaths.append(Death(time.time(), name, code))

    def _free_leases(self, dead: str) -> None:
        """As if their time were over, before the dead one starts again; it is the only one of its kind."""
        with self.product.database.write() as db:
            for table in _LEASED.get(dead.partition("-")[0], ()):
                db.execute(update(table).values(dict.fromkeys(_lease_columns(table))))

    def _spawn(self, name: str) -> Forked | Gunicorn:
        log = self._home / f"{name}.log"
        if name == "door":
            return Gunicorn(self.port, self.environ, log)
        if name == "talk server":
            return Forked((name, str(self._talk_port)), self.environ, log)
        return Forked(("worker", "--threads", "2") if name.startswith("worker") else (name,), self.environ, log)

    def claim(self, conversation_id: int, epoch: int, agent: str) -> int:
        """An agent's claim in a process of its own; gives its exit code."""
        child = Forked(("claim", str(conversation_id), str(epoch), agent), self.environ, self._home / "claim.log")
        child.wait(30)
        code = child.code()
        assert code is not None, "the claim hangs"
        return code

    def kill(self, name: str) -> bool:
        """SIGKILL; False when it is dead already."""
        with self._lock:
            child = self._children.get(name)
            if child is None or child.code() is not None:
                return False
            child.signal(signal.SIGKILL)
            return True

    def stop(self, name: str, seconds: float) -> int | None:
        """SIGTERM, and the exit code; None when it has not ended by then. It stays away."""
        with self._lock:
            del self._wanted[name]
            child = self._children[name]
        child.signal(signal.SIGTERM)
        child.wait(seconds)
        code = child.code()
        with self._lock:
            self._bury(name, code if code is not None else 0)
        if code is None:
            child.signal(signal.SIGKILL)
            child.wait(5)
        return code

    def start_again(self, name: str) -> None:
        with self._lock:
            self._wanted[name] = 0.0

    def arm(self, moment: Moment) -> None:
        """The next process at this moment dies there."""
        (self._armed / moment.name).touch()

    def fired(self, moment: Moment) -> bool:
        return not (self._armed / moment.name).exists()

    def disarm(self, moment: Moment) -> None:
        (self._armed / moment.name).unlink(missing_ok=True)

    def leases(self, name: str) -> int:
        """How many are held now of the kinds that only a worker, or only the poller, takes."""
        with self.product.database.read() as db:
            clock = db_clock(db)
            held = [
                db.scalar(select(func.count()).where(table.c[column] > clock))
                for table in _LEASED[name.partition("-")[0]]
                for column in _lease_columns(table)
            ]
        return sum(count or 0 for count in held)

    def waiting(self) -> int:
        """Messages, answers and tickets that are not finished."""
        open_rows = (
            select(func.count())
            .select_from(inbox.join(conversation, inbox.c.conversation_id == conversation.c.id))
            .where(inbox.c.disposition == "open", conversation.c.state == "bot")
        )
        with self.product.database.read() as db:
            unsent = db.scalar(select(func.count()).where(outbox.c.state.in_(WAITING))) or 0
            unopened = db.scalar(
                select(func.count()).where(or_(ticket.c.state != "open", ticket.c.due_at.is_not(None)))
            )
            return int(db.scalar(open_rows) or 0) + unsent + int(unopened or 0)

    def rest(self, seconds: float) -> bool:
        """Waits until nothing is unfinished; False when for so long it has not become less."""
        least = self.waiting()
        deadline = time.monotonic() + seconds
        while (now := self.waiting()) and time.monotonic() < deadline:
            if now < least:
                least, deadline = now, time.monotonic() + seconds
            time.sleep(0.1)
        return not now

    def obeys(self, name: str) -> bool:
        """Whether this process is up so far that SIGTERM means "finish" to it, and not death."""
        with self._lock:
            child = self._children.get(name)
        if child is None or child.code() is not None:
            return False
        status = Path(f"/proc/{child.pid}/status").read_text(encoding="ascii", errors="replace")
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
        return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)

    def desk_is_read(self) -> bool:
        """Whether everything on the desk's paper has been taken over."""
        with self.product.database.read() as db:
            place = db.scalar(select(cursor.c.position).where(cursor.c.source == desk_source(self.paper.kind)))
        return int(place or 0) == self.paper.size()

    def books(self) -> Books:
        """The tables, with the tickets as the desk's paper has them."""
        opened = [line for line in self.paper.lines() if line["what"] == "opened"]
        return replace(read_books(self.product.database), local_ticket=opened)

    def logs(self) -> str:
        files = sorted(self._home.glob("*.log"))
        return "\n".join(f"== {file.name}\n{file.read_text(errors='replace')[-3000:]}" for file in files)

    def close(self) -> None:
        self._closing.set()
        if self._keeper.is_alive():
            self._keeper.join()
        for child in self._children.values():
            child.signal(signal.SIGKILL)
        for child in self._children.values():
            child.wait(10)
        self.product.close()
