"""`python -m bot parse`: what the model understands. Loads nothing of the product: no database, no settings."""

import argparse
import os
from pathlib import Path

from bot.errors import TingsuError


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", help="a trained model; the checkout's own by default")


def main(args: argparse.Namespace) -> int:
    """Runs in the Rasa environment, in place of this process: nothing here touches what goes through."""
    root = Path(__file__).resolve().parents[2]
    python = root / ".venv-rasa" / "bin" / "python"
    if not python.exists():
        raise TingsuError("The Rasa environment is not there: run `make setup` first.")
    command = [str(python), str(root / "nlu_data" / "parse.py")]
    if args.model:
        command += ["--model", args.model]
    os.execv(command[0], command)  # noqa: S606 - our own script, no shell
