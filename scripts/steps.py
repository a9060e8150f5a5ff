"""A step of the set-up: skipped when its inputs have not changed, shown while it runs, explained when it fails."""

import fcntl
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
NOTES = ROOT / ".setup"  # the lock and the logs of this checkout's set-up

_SAY_EVERY = 20.0  # seconds between two lines where nobody can see a line being rewritten
_LAST_LINES = 15


class SetupFailed(Exception):
    """One sentence that says what to do."""


class CommandFailed(SetupFailed):
    """A command ended with an error; the sentence carries the last lines of its log."""


@contextmanager
def alone() -> Iterator[None]:
    """Two set-ups of one checkout wait for each other."""
    NOTES.mkdir(exist_ok=True)
    with open(NOTES / "lock", "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up of this checkout is running; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def digest(*parts: str | Path) -> str:
    """One hash over texts and the contents of files."""
    whole = hashlib.sha256()
    for part in parts:
        content = part.read_bytes() if isinstance(part, Path) else part.encode()
        whole.update(len(content).to_bytes(8, "big") + content)
    return whole.hexdigest()


def stamped(stamp: Path, wanted: str) -> bool:
    """Whether the step that writes this stamp was last done with these inputs."""
    return stamp.is_file() and wanted in stamp.read_text(encoding="ascii").split()


def put_stamp(stamp: Path, *digests: str) -> None:
    stamp.write_text("\n".join(digests) + "\n", encoding="ascii")


def say(line: str) -> None:
    print(f"setup: {line}", flush=True)


def environment(**more: str) -> dict[str, str]:
    """The caller's environment without what would make one Python look into another."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return kept | {"PYTHONNOUSERSITE": "1", "PIP_USER": "0"} | more


def run(title: str, command: Sequence[str | Path], **more_environment: str) -> None:
    """Runs a command with its output in a log. Raises CommandFailed with the log's last lines."""
    log = NOTES / f"{title.replace(' ', '-')}.log"
    began = time.monotonic()
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            env=environment(**more_environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        code = _watch(process, title, log, began)
    if code != 0:
        raise CommandFailed(f"{title} failed (exit code {code}); {log.relative_to(ROOT)} ends with:\n{_tail(log)}")
    say(f"{title}: done in {time.monotonic() - began:.0f} s")


def _watch(process: subprocess.Popen[bytes], title: str, log: Path, began: float) -> int:
    """Waits, and says now and then how far it is."""
    rewriting = sys.stdout.isatty()
    if not rewriting:
        say(f"{title} …")
    patience = 1.0 if rewriting else _SAY_EVERY
    while True:
        try:
            code = process.wait(patience)
        except subprocess.TimeoutExpired:
            _show(f"{title} … {time.monotonic() - began:.0f} s  {_last_line(log)}", rewriting)
            continue
        except KeyboardInterrupt:
            process.wait()
            raise
        if rewriting:
            _clear(sys.stdout)
        return code


def _show(line: str, rewriting: bool) -> None:
    if rewriting:
        width = os.get_terminal_size(sys.stdout.fileno()).columns or 80
        _clear(sys.stdout)
        sys.stdout.write(f"setup: {line}"[: width - 1])
        sys.stdout.flush()
    else:
        say(line)


def _clear(terminal: IO[str]) -> None:
    terminal.write("\r\x1b[K")
    terminal.flush()


def _last_line(log: Path) -> str:
    lines = _tail(log, 1).split()
    return " ".join(lines)[:60]


def _tail(log: Path, count: int = _LAST_LINES) -> str:
    """The end of a log: its last lines that hold anything, a rewritten line counting as several."""
    with open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - 8192))
        text = file.read().decode("utf-8", "replace").replace("\r", "\n")
    return "\n".join([line for line in text.splitlines() if line.strip()][-count:])
