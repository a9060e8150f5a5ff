"""`python -m bot <command>`: finds the command's file in bot/cli/, and says its refusals in one sentence."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from bot.cli import COMMANDS
from bot.errors import SettingsWrong, TingsuError


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 refused with a reason on standard error, 2 wrong use."""
    given = sys.argv[1:] if arguments is None else arguments
    args = _parser(given[0] if given else "").parse_args(given)
    try:
        done: int = importlib.import_module(f"bot.cli.{args.command}").main(args)
    except SettingsWrong as wrong:
        print("The settings cannot be used:", *(f"  - {line}" for line in wrong.problems), sep="\n", file=sys.stderr)
        return 1
    except TingsuError as error:
        print(str(error), file=sys.stderr)
        return 1
    return done


def _parser(chosen: str) -> argparse.ArgumentParser:
    """Knows every command, and the arguments of the chosen one: only its file is imported."""
    parser = argparse.ArgumentParser(prog="python -m bot", description="Tingsu, the complaint front end.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(name, help=purpose)
        if name == chosen:
            importlib.import_module(f"bot.cli.{name}").arguments(command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
