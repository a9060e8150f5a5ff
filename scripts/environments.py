"""A Python environment made from hashed locks, and brought up to date when they change."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from scripts.steps import digest, environment, put_stamp, run, stamped

# Compiling all of TensorFlow ahead would take minutes; Python compiles what it imports, once, by itself.
_PIP = ["-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--no-compile", "--progress-bar", "off"]


def install(title: str, folder: Path, base: Path | Callable[[], Path], locks: Sequence[Path], *flags: str) -> Path:
    """The environment's Python, with the last of `locks` installed.

    The locks contain one another, smallest first: an environment that has a larger one has the smaller ones, too.
    `base` is asked for only if the environment has to be made.
    """
    python = folder / "bin" / "python"
    stamp = folder / "tingsu-stamp"
    digests = [digest(lock) for lock in locks]
    if stamped(stamp, digests[-1]) and _runs(python):
        return python
    if not _runs(python):
        make = base if isinstance(base, Path) else base()
        run(f"{title} environment", [make, "-m", "venv", "--clear", folder])
    stamp.unlink(missing_ok=True)
    run(f"{title} packages", [python, *_PIP, "--require-hashes", *flags, "-r", locks[-1]])
    put_stamp(stamp, *digests)
    return python


def _runs(python: Path) -> bool:
    """Whether pip is there and its Python has not been taken away since (an update, a moved folder)."""
    try:
        found = subprocess.run([python, "-c", "import pip"], capture_output=True, env=environment(), check=False)
    except OSError:
        return False
    return found.returncode == 0
