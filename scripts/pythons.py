"""Finds the Python 3.10 that Rasa 3.6 needs: the one that is set, one on this machine, or one that uv downloads."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts.environments import install
from scripts.steps import ROOT, CommandFailed, SetupFailed, environment, run, say

_OURS = ROOT / ".python"  # where uv puts a Python for this checkout

# pyenv's shims exist for versions that are not switched on, and self-built Pythons may lack modules: only
# running it tells.
_PROBE = "import sys, ctypes, ensurepip, sqlite3, ssl, venv, zlib; print('%d.%d' % sys.version_info[:2])"

_WHAT_TO_DO = (
    "Rasa needs Python 3.10, and none was found here or could be downloaded. Install one (for example "
    "`pyenv install 3.10`, or the packages python3.10 and python3.10-venv), or name it: "
    "TINGSU_RASA_PYTHON=/path/to/python3.10 make setup"
)


def rasa_python() -> Path:
    """A complete Python 3.10 that runs. Raises SetupFailed."""
    named = os.environ.get("TINGSU_RASA_PYTHON", "").strip()
    if named:
        if not works(Path(named), "3.10"):
            raise SetupFailed(f"TINGSU_RASA_PYTHON={named} is not a complete Python 3.10")
        return Path(named)
    for candidate in _on_this_machine():
        if works(candidate, "3.10"):
            return candidate
    return _downloaded()


def works(python: Path, version: str) -> bool:
    """Whether this is a Python of that version that can make an environment."""
    try:
        answer = subprocess.run(
            [str(python), "-c", _PROBE], capture_output=True, text=True, timeout=30, env=environment(), check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and answer.stdout.strip() == version


def _on_this_machine() -> Iterator[Path]:
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        candidate = Path(folder or ".") / "python3.10"
        if candidate.is_file():
            yield candidate
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob("versions/3.10.*/bin/python3.10"), reverse=True)
    yield from sorted(_OURS.glob("cpython-3.10*/bin/python3.10"), reverse=True)


def _downloaded() -> Path:
    say("no Python 3.10 on this machine: uv downloads one into .python/")
    try:
        uv = install("uv", ROOT / ".venv-uv", Path(sys.executable), [ROOT / "requirements" / "bootstrap.txt"])
        run("Python 3.10", [uv, "-m", "uv", "python", "install", "--no-bin", "3.10"], UV_PYTHON_INSTALL_DIR=str(_OURS))
    except CommandFailed as failed:
        raise SetupFailed(f"{failed}\n{_WHAT_TO_DO}") from failed
    for candidate in _on_this_machine():
        if works(candidate, "3.10"):
            return candidate
    raise SetupFailed(_WHAT_TO_DO)
