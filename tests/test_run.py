"""The supervisor with small children of every bad habit, and what `python -m bot run` refuses."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from bot import run
from bot.settings import Settings, read
from bot.supervisor import Child, Pace, Supervisor, listens

QUICK = Pace(tick=0.01, first_pause=0.02, longest_pause=0.05, settled=60.0, remind=0.1)
ENVIRONMENT = {"PATH": os.environ["PATH"]}

# Writes its name when it is asked to stop.
POLITE = """
import pathlib, signal, sys, time
def leave(*_):
    with open(sys.argv[1], "a") as file:
        file.write(sys.argv[2] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
pathlib.Path(sys.argv[1] + "." + sys.argv[2]).touch()
time.sleep(60)
"""


def shell(name: str, script: str, **more: float) -> Child:
    return Child(name, ("sh", "-c", script), 0, ENVIRONMENT, grace=more.get("grace", 5.0))


def polite(name: str, stage: int, journal: Path) -> Child:
    command = (sys.executable, "-c", POLITE, str(journal), name)
    return Child(name, command, stage, ENVIRONMENT, ready=Path(f"{journal}.{name}").exists)


def interrupt() -> None:
    """Ctrl-C for the supervisor that runs in this very process."""
    os.kill(os.getpid(), signal.SIGINT)


class Stage:
    """A supervisor on a folder, with what it said; `until` is asked after every line, and True stops it."""

    def __init__(self, folder: Path, until: Callable[[list[str]], bool] = lambda lines: False) -> None:
        self.folder = folder
        self.lines: list[str] = []
        self.pids: list[Mapping[str, int]] = []
        self._until = until

    def run(self, *children: Child, pace: Pace = QUICK, all_ready: Callable[[], None] = lambda: None) -> list[str]:
        supervisor = Supervisor(
            children, folder=self.folder, logs=self.folder, say=self._say, changed=self.pids.append, pace=pace
        )
        supervisor.run(all_ready)
        return self.lines

    def _say(self, line: str) -> None:
        self.lines.append(line)
        if self._until(self.lines):
            interrupt()


def is_running(pid: int) -> bool:
    """Neither gone nor only waiting to be reaped by whoever inherited it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_a_child_that_dies_is_restarted_with_growing_pauses(tmp_path: Path) -> None:
    def died(lines: list[str]) -> list[str]:
        return [line for line in lines if "exit" in line]

    deaths = died(Stage(tmp_path, lambda lines: len(died(lines)) == 4).run(shell("x", "exit 3")))
    pauses = [line.split("started again in ")[1].split(" s")[0] for line in deaths]
    assert pauses[:4] == ["0.02", "0.04", "0.05", "0.05"]
    assert deaths[0].startswith("x ended with exit code 3; it is started again")


def test_one_that_had_lived_long_starts_again_at_once(tmp_path: Path) -> None:
    settled = Pace(tick=0.01, first_pause=0.02, longest_pause=0.05, settled=0.0)
    lines = Stage(tmp_path, lambda lines: len(lines) == 3).run(shell("x", "exit 0"), pace=settled)
    assert all("started again in 0.02 s" in line for line in lines if "exit" in line)


def test_a_signal_is_named(tmp_path: Path) -> None:
    lines = Stage(tmp_path, lambda lines: len(lines) == 1).run(shell("x", "kill -9 $$"))
    assert lines[0].startswith("x was killed by SIGKILL; it is started again")


def test_a_program_that_is_not_there_is_tried_again(tmp_path: Path) -> None:
    missing = Child("x", (str(tmp_path / "nothing"),), 0, ENVIRONMENT)
    lines = Stage(tmp_path, lambda lines: len(lines) == 2).run(missing)
    assert all(line.startswith("x cannot be started: ") for line in lines)


def test_what_a_dead_child_left_running_is_cleared_away(tmp_path: Path) -> None:
    left = tmp_path / "left"
    child = shell("x", f"sleep 60 & echo $! > {left}; exit 1")
    Stage(tmp_path, lambda lines: len(lines) == 1).run(child)
    wait_until(lambda: not is_running(int(left.read_text())))


def test_stages_stop_one_after_another(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    children = [polite(name, stage, journal) for name, stage in (("bell", 3), ("door", 0), ("rasa", 2), ("worker", 1))]
    lines = Stage(tmp_path).run(*children, all_ready=interrupt)
    assert journal.read_text().split() == ["door", "worker", "rasa", "bell"]
    assert lines[-4:] == ["stopping door", "stopping worker", "stopping rasa", "stopping bell"]


def test_one_that_will_not_stop_is_killed(tmp_path: Path) -> None:
    began = time.monotonic()
    stage = Stage(tmp_path)
    stage.run(shell("x", "trap '' TERM; while :; do sleep 1; done", grace=0.2), all_ready=interrupt)
    assert time.monotonic() - began < 5
    assert not is_running(stage.pids[0]["x"])


def test_readiness_is_waited_for_and_said(tmp_path: Path) -> None:
    looks = iter([False] * 30 + [True])
    child = Child("rasa", ("sleep", "60"), 0, ENVIRONMENT, ready=lambda: next(looks))
    lines = Stage(tmp_path).run(child, all_ready=interrupt)
    assert lines[0].startswith("waiting for rasa … ")
    assert lines[-2].startswith("rasa ready after ")


def test_what_children_print_is_kept_over_restarts(tmp_path: Path) -> None:
    Stage(tmp_path, lambda lines: len(lines) == 2).run(shell("x", "echo out; echo err >&2; exit 1"))
    assert (tmp_path / "x.log").read_text() == "out\nerr\n" * 2


ALONE = """
import os, pathlib, sys
from bot.supervisor import Child, Supervisor
folder = pathlib.Path(sys.argv[1])
def changed(pids):
    (folder / "tmp").write_text(str(pids["x"]))
    (folder / "tmp").replace(folder / "pid")
Supervisor(
    [Child("x", ("sleep", "60"), 0, dict(os.environ))], folder=folder, logs=folder, say=lambda line: None, changed=changed
).run(lambda: None)
"""


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A supervisor in a process group of its own, without standard input, and its child's process id."""
    command = [sys.executable, "-c", ALONE, str(tmp_path)]
    with subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL, cwd=run.ROOT) as process:
        try:
            wait_until((tmp_path / "pid").exists)
            yield process, int((tmp_path / "pid").read_text())
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_whole_group_stops_everything(
    supervised: tuple[subprocess.Popen[bytes], int], number: signal.Signals
) -> None:
    process, child = supervised
    os.killpg(process.pid, number)
    assert process.wait(10) == 0
    assert not is_running(child)


def test_no_child_outlives_a_killed_supervisor(supervised: tuple[subprocess.Popen[bytes], int]) -> None:
    process, child = supervised
    process.kill()
    wait_until(lambda: not is_running(child))


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which something listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def settings(tmp_path: Path, **more: str) -> Settings:
    return read({"TINGSU_HOME": str(tmp_path / "home"), **more})


@pytest.mark.parametrize("name", ["TINGSU_PUBLIC_PORT", "TINGSU_CONSOLE_PORT"])
def test_a_taken_port_is_refused(tmp_path: Path, taken: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_PORT_PATIENCE", 0.0)
    with pytest.raises(run.CannotRun, match=rf"Port {taken} is taken by another program: stop it, or set {name}"):
        run.main(settings(tmp_path, **{name: str(taken)}))


def test_a_second_run_on_the_same_data_is_refused(tmp_path: Path) -> None:
    read_settings = settings(tmp_path)
    with open(read_settings.home / "run.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711")
        lock.flush()
        with pytest.raises(run.CannotRun, match=r"Tingsu already runs on .*home \(process 4711\)"):
            run.main(read_settings)


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Child]]:
    monkeypatch.setattr(run, "_model", lambda: "model.tar.gz")
    ports = run.Ports(8000, 8001, 20_001, 20_002, 20_003)
    environ = {"TINGSU_SECRET_KEY": "k" * 40, "TINGSU_TELEGRAM_TOKEN": "1:secret", "PATH": "/bin"}

    def plan(**more: str) -> dict[str, Child]:
        read_settings = settings(tmp_path, **environ, **more)
        return {child.name: child for child in run.plan(read_settings, ports, environ)}

    return plan


def test_children_read_the_settings_of_this_run(planned: Callable[..., dict[str, Child]], tmp_path: Path) -> None:
    children = planned()
    assert set(children) == {"public", "console", "worker", "poller", "rasa", "actions", "valkey"}
    for name in ("public", "console", "worker", "poller"):
        told = children[name].environment
        assert told["TINGSU_REDIS_URL"] == "redis://127.0.0.1:20001/0"
        assert told["TINGSU_RASA_URL"] == "http://127.0.0.1:20002"
        assert told["TINGSU_HOME"] == str(tmp_path / "home")
        assert told["TINGSU_TELEGRAM_TOKEN"] == "1:secret"
        assert read(told).database_url.startswith("sqlite")


def test_private_processes_are_told_no_secret(planned: Callable[..., dict[str, Child]]) -> None:
    for name in ("rasa", "actions", "valkey"):
        assert not [key for key in planned()[name].environment if key.startswith("TINGSU_")]


def test_what_the_operator_runs_is_not_started(planned: Callable[..., dict[str, Child]]) -> None:
    children = planned(TINGSU_REDIS_URL="redis://127.0.0.1:6379/5", TINGSU_RASA_URL="http://127.0.0.1:5005")
    assert set(children) == {"public", "console", "worker", "poller"}
    assert children["worker"].environment["TINGSU_REDIS_URL"] == "redis://127.0.0.1:6379/5"
    assert children["worker"].environment["TINGSU_RASA_URL"] == "http://127.0.0.1:5005"


def test_the_embedded_valkey_keeps_to_this_machine_and_to_memory(
    planned: Callable[..., dict[str, Child]], tmp_path: Path
) -> None:
    [port] = run._free_ports(1)
    valkey = run._valkey(tmp_path / "valkey", port, ENVIRONMENT)
    seen: list[bool] = []

    def look() -> None:
        seen.append(listens(port))
        interrupt()

    Stage(tmp_path).run(valkey, all_ready=look)
    assert seen == [True]
    assert list((tmp_path / "valkey").iterdir()) == []
    assert {"--bind", "127.0.0.1"} <= set(valkey.command)


def test_the_note_for_others_is_private(tmp_path: Path) -> None:
    with run._private_files():
        run._write_note(tmp_path / "run.json", [shell("x", "")], {"x": 12})
    note = json.loads((tmp_path / "run.json").read_text())
    assert note == {"pid": os.getpid(), "children": {"x": {"pid": 12, "port": None}}}
    assert (tmp_path / "run.json").stat().st_mode & 0o777 == 0o600


def test_the_logs_of_the_run_before_are_kept(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "worker.log").write_text("before")
    run._fresh_logs(tmp_path / "logs")
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["worker.log.1"]
