"""Prepares this checkout: both Python environments from hashed locks, the pages' scripts, the trained model.

Run by the Makefile as `python -m scripts.setup`; needs nothing but Python >= 3.11. What has not changed is skipped.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from scripts import pages
from scripts.environments import install
from scripts.pythons import rasa_python
from scripts.steps import ROOT, SetupFailed, alone, environment, run, say

PARTS = ("product", "rasa", "pages", "model")
_LOCKS = ROOT / "requirements"


def main() -> int:
    args = _arguments()
    began = time.monotonic()
    try:
        with alone():
            _prepare(args.parts or PARTS, dev=args.dev)
    except SetupFailed as failed:
        print(f"setup: {failed}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("setup: stopped; run it again to go on", file=sys.stderr)
        return 130
    say(f"ready after {time.monotonic() - began:.1f} s")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scripts.setup", description=__doc__)
    parser.add_argument("--dev", action="store_true", help="also what tests and checks need")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; all when none is named")
    args = parser.parse_args()
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f"unknown part {', '.join(sorted(unknown))}: expected {', '.join(PARTS)}")
    return args


def _prepare(parts: tuple[str, ...], *, dev: bool) -> None:
    if "product" in parts:
        _product(dev)
    if "rasa" in parts or "model" in parts:
        python = install("Rasa", ROOT / ".venv-rasa", rasa_python, [_LOCKS / "rasa.txt"], "--no-deps")
    if "pages" in parts:
        pages.bring()
    if "model" in parts:
        _model(python)


def _product(dev: bool) -> None:
    locks = [_LOCKS / "product.txt"] + ([_LOCKS / "dev.txt"] if dev else [])
    install("product", ROOT / ".venv", Path(sys.executable), locks)


def _model(python: Path) -> None:
    """The model's name is the hash of what it was made from, so --check knows whether it is there."""
    train = ROOT / "nlu_data" / "train.py"
    if subprocess.run([python, train, "--check"], capture_output=True, env=environment(), check=False).returncode:
        run("model", [python, train])


if __name__ == "__main__":
    if sys.version_info < (3, 11):
        sys.exit("Tingsu needs Python 3.11 or newer.")
    sys.exit(main())
