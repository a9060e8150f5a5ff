"""PostgreSQL, Redis and a small disk of a test's own, to be killed, frozen, flushed and filled as it likes."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from redis import Redis

from bot import run as product_run
from bot.supervisor import _die_with_parent, listens
from tests.conftest import MEMORY, absent
from tests.running import free_port, wait_for

_ROOT = os.geteuid() == 0
_PATIENCE = 30.0  # seconds for a server to start or to end
_SOON = 0.05


class Server:
    """A process of ours that listens on one port of this machine."""

    def __init__(self, name: str, command: Sequence[str], port: int, **how: Any) -> None:
        self._name = name
        self._command = command
        self._how = how
        self._process: subprocess.Popen[bytes] | None = None
        self.port = port

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self._name} does not run"
        return self._process.pid

    def start(self, *more: str) -> None:
        """Returns when it listens. `more` is said on the command line this time."""
        self._process = subprocess.Popen(
            [*self._command, *more],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=_die_with_parent(),  # noqa: PLW1509 - libc is loaded before the fork
            **self._how,
        )
        wait_for(self._name, lambda: listens(self.port), _PATIENCE, _SOON)

    def end(self, number: int) -> None:
        """By this signal; returns when it is gone."""
        os.kill(self.pid, number)
        assert self._process is not None
        self._process.wait(_PATIENCE)
        self._process = None

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(_PATIENCE)


class OwnPostgres(Server):
    """A cluster of its own, run by the user postgres when we are root, who may not."""

    def __init__(self, folder: Path, port: int) -> None:
        self._data = folder / "data"
        self._bin = _postgres_programs()
        self._as = {"user": "postgres", "group": "postgres", "extra_groups": []} if _ROOT else {}
        if _ROOT:
            shutil.chown(folder, "postgres", "postgres")
        made = ["initdb", "-D", str(self._data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]
        subprocess.run(
            [str(self._bin / made[0]), *made[1:], "--no-sync", "--wal-segsize=1"],
            check=True,
            capture_output=True,
            cwd=folder,
            **self._as,  # type: ignore[call-overload]  # three keywords that run() has
        )
        command = (str(self._bin / "postgres"), "-D", str(self._data), "-p", str(port), "-k", str(folder))
        super().__init__("PostgreSQL", (*command, "-c", "max_connections=120"), port, cwd=folder, **self._as)

    def start(self, *more: str) -> None:
        super().start(*more)
        wait_for("PostgreSQL to take connections", self.takes_connections, _PATIENCE, _SOON)

    @property
    def address(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def takes_connections(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(self.address, connect_timeout=2).close()
            return True
        return False

    def database(self, tablespace: Path | None = None) -> str:
        """The address of a new database; in a tablespace of its own, when a folder is given."""
        name = f"world_{uuid.uuid4().hex[:8]}"
        made = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        with psycopg.connect(self.address, autocommit=True) as admin:
            if tablespace is not None:
                if _ROOT:
                    shutil.chown(tablespace, "postgres", "postgres")
                place = sql.SQL("CREATE TABLESPACE {} LOCATION {}")
                admin.execute(place.format(sql.Identifier(name), sql.Literal(str(tablespace))))
                made += sql.SQL(" TABLESPACE {}").format(sql.Identifier(name))
            admin.execute(made)
        return f"{self.address.rpartition('/')[0]}/{name}"

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """As superuser, outside any transaction; gives the rows, if it has some."""
        with psycopg.connect(self.address, autocommit=True) as admin:
            done = admin.execute(statement.encode())
            return done.fetchall() if done.description else []

    def drop(self, address: str) -> None:
        name = address.rpartition("/")[2]
        self.run(f"DROP DATABASE {name} WITH (FORCE)")
        self.run(f"DROP TABLESPACE IF EXISTS {name}")

    def backends(self) -> list[int]:
        """Process ids of those who serve clients other than us."""
        found = self.run(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        return [int(row[0]) for row in found]

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP to all of it: its kernel still answers for it, nobody else does."""
        family = [self.pid, *_children(self.pid)]
        for pid in family:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in [*family, *_children(self.pid)]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


class OwnRedis(Server):
    """The Valkey that Tingsu brings; later arguments win over the product's."""

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__("Valkey", product_run._valkey(folder, port, {}).command, port)
        self.url = f"redis://127.0.0.1:{port}/0"

    def client(self) -> Redis:
        return Redis.from_url(self.url, socket_timeout=5)


@contextlib.contextmanager
def own_postgres() -> Iterator[OwnPostgres]:
    with _folder() as folder:
        server = OwnPostgres(folder, free_port())
        try:
            server.start()
            yield server
        finally:
            server.close()


@contextlib.contextmanager
def own_redis(*more: str) -> Iterator[OwnRedis]:
    with _folder() as folder:
        server = OwnRedis(folder, free_port())
        try:
            server.start(*more)
            yield server
        finally:
            server.close()


@contextlib.contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A disk that is soon full. Needs root, who may mount."""
    with _folder() as folder:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", str(folder)],
            capture_output=True,
            check=False,
        )
        if mounted.returncode:
            absent("right to mount a small disk (needs root)")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Not a byte is free in there."""
    ballast = disk / "ballast"
    with open(ballast, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    try:
        yield
    finally:
        ballast.unlink()


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="tingsu-server-", dir=MEMORY))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _postgres_programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        absent("PostgreSQL's own programs (initdb)")
    return found[-1].parent


def _children(pid: int) -> list[int]:
    """Direct children; PostgreSQL has no others."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
