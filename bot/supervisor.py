"""Keeps a table of child processes running, says so when one dies, and stops them in order."""

import contextlib
import ctypes
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PROBE_SECONDS = 0.5


@dataclass(frozen=True)
class Child:
    """One process to keep running."""

    name: str
    command: tuple[str, ...]
    stage: int  # children of the lowest stage are stopped first, and started last
    environment: Mapping[str, str]
    port: int | None = None  # on 127.0.0.1
    ready: Callable[[], bool] | None = None  # None: ready as soon as it runs
    grace: float = 10.0  # seconds between SIGTERM and SIGKILL


@dataclass(frozen=True)
class Pace:
    """How fast things are looked at and tried again, in seconds."""

    tick: float = 0.2
    first_pause: float = 0.5
    longest_pause: float = 30.0
    settled: float = 60.0  # one that has lived so long starts again with the first pause
    remind: float = 10.0  # between two "still waiting for"


@dataclass
class _Life:
    """What is going on with one child."""

    child: Child
    pause: float
    process: subprocess.Popen[bytes] | None = None
    born: float = 0.0
    due: float = 0.0  # when to start it, while there is no process
    ready: bool = False
    reminded: float = 0.0


class Supervisor:
    """`say` gets one line for people; `changed` the process ids by name, whenever they change."""

    def __init__(
        self,
        children: Sequence[Child],
        *,
        folder: Path,
        logs: Path,
        say: Callable[[str], None],
        changed: Callable[[Mapping[str, int]], None],
        pace: Pace = Pace(),
    ) -> None:
        started_first = sorted(children, key=lambda child: -child.stage)
        self._lives = [_Life(child, pace.first_pause) for child in started_first]
        self._folder = folder
        self._logs = logs
        self._say = say
        self._changed = changed
        self._pace = pace
        self._stopping = False

    def run(self, all_ready: Callable[[], None]) -> None:
        """Returns after SIGINT, SIGTERM or SIGHUP, when no child is left. Only from the main thread."""
        with self._signals():
            try:
                self._watch(all_ready)
            finally:
                self._stop()

    def _watch(self, all_ready: Callable[[], None]) -> None:
        announced = False
        while not self._stopping:
            for life in self._lives:
                self._look(life)
            if not announced and all(life.ready for life in self._lives):
                announced = True
                all_ready()
            time.sleep(self._pace.tick)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        def stop(_number: int, _frame: FrameType | None) -> None:
            self._stopping = True

        wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, stop) for number in wanted}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _look(self, life: _Life) -> None:
        if self._stopping:
            return
        if life.process is None:
            if time.monotonic() >= life.due:
                self._start(life)
        elif life.process.poll() is not None:
            self._bury(life, _ending(life.process.returncode))
        elif not life.ready:
            self._probe(life)

    def _start(self, life: _Life) -> None:
        life.born = life.reminded = time.monotonic()
        life.ready = False
        try:
            life.process = self._spawn(life.child)
        except OSError as error:
            self._bury(life, f"cannot be started: {error}")
            return
        self._tell_changed()

    def _spawn(self, child: Child) -> subprocess.Popen[bytes]:
        with open(self._logs / f"{child.name}.log", "ab") as log:
            return subprocess.Popen(
                child.command,
                cwd=self._folder,
                env=dict(child.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the supervisor only, which knows the order
                preexec_fn=_die_with_parent(),  # noqa: PLW1509 - the supervisor has one thread
            )

    def _bury(self, life: _Life, how: str) -> None:
        """Clears away what the dead child left running, and notes when to start it again."""
        if life.process is not None:
            _kill_group(life.process)
            life.process = None
        now = time.monotonic()
        if now - life.born >= self._pace.settled:
            life.pause = self._pace.first_pause
        life.due = now + life.pause
        log = self._logs / f"{life.child.name}.log"
        self._say(f"{life.child.name} {how}; it is started again in {life.pause:g} s (see {log})")
        life.pause = min(life.pause * 2, self._pace.longest_pause)
        self._tell_changed()

    def _probe(self, life: _Life) -> None:
        waited = time.monotonic() - life.born
        if life.child.ready is None or life.child.ready():
            life.ready = True
            self._say(f"{life.child.name} ready after {waited:.1f} s")
        elif time.monotonic() - life.reminded >= self._pace.remind:
            life.reminded = time.monotonic()
            self._say(f"waiting for {life.child.name} … {waited:.0f} s")

    def _tell_changed(self) -> None:
        self._changed({life.child.name: life.process.pid for life in self._lives if life.process is not None})

    def _stop(self) -> None:
        for stage in sorted({life.child.stage for life in self._lives}):
            living = [life for life in self._lives if life.child.stage == stage and life.process is not None]
            if living:
                self._say(f"stopping {', '.join(life.child.name for life in living)}")
            _stop_together([(life.process, life.child.grace) for life in living if life.process is not None])


def _stop_together(processes: list[tuple[subprocess.Popen[bytes], float]]) -> None:
    for process, _ in processes:
        process.terminate()
    began = time.monotonic()
    for process, grace in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, began + grace - time.monotonic()))
        _kill_group(process)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """The child and whatever it has started itself."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"


def _die_with_parent() -> Callable[[], None] | None:
    """What a child does before its program starts, so that no child outlives a killed supervisor (Linux only)."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)  # loaded here: between fork and exec as little as possible may happen
    parent = os.getpid()

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we could ask
            os._exit(1)

    return prepare


def answers_http(port: int, path: str) -> bool:
    """Whether GET on a port of this machine gives 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PROBE_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def listens(port: int) -> bool:
    """Whether something accepts connections on a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), _PROBE_SECONDS).close()
    except OSError:
        return False
    return True
