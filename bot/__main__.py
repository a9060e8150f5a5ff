"""The commands: python -m bot run | migrate | worker | poller | talk | parse | user."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bot import logs, settings
from bot.errors import SettingsWrong, TingsuError

if TYPE_CHECKING:
    from bot.build import Product

ROLES = ("agent", "supervisor", "marketing", "admin")


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 refused with a reason on standard error, 2 wrong use."""
    args = _parser().parse_args(arguments)
    try:
        if args.command == "parse":
            return _parse(args)
        return _with_settings(args)
    except SettingsWrong as wrong:
        print("The settings cannot be used:", *(f"  - {line}" for line in wrong.problems), sep="\n", file=sys.stderr)
        return 1
    except TingsuError as error:
        print(str(error), file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bot", description="Tingsu, the complaint front end.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="start everything on this machine, under one supervisor")
    commands.add_parser("migrate", help="bring the database to this version's shape")
    worker = commands.add_parser("worker", help="answer conversations, send, open tickets")
    worker.add_argument("--threads", type=int, default=4, help="conversations answered at once (default 4)")
    commands.add_parser("poller", help="read polled channels and desks")
    talk = commands.add_parser("talk", help="talk to the bot in this terminal")
    talk.add_argument("--language", choices=("zh", "en"), default="zh")
    parse = commands.add_parser("parse", help="one utterance a line in, one JSON object a line out")
    parse.add_argument("--model", help="a trained model; the checkout's own by default")
    user = commands.add_parser("user", help="logins for the console").add_subparsers(dest="action", required=True)
    add = user.add_parser("add", help="make a login")
    add.add_argument("name")
    add.add_argument("--role", choices=ROLES, required=True)
    add.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    return parser


def _with_settings(args: argparse.Namespace) -> int:
    read = settings.read(os.environ)
    logs.configure(read.log_level)
    if args.command == "run":
        from bot import run

        return run.main(read)
    from sqlalchemy.exc import DBAPIError

    from bot.build import build
    from bot.store.database import Database, upgrade

    try:
        if args.command in ("migrate", "user"):
            upgrade(Database(read.database_url))
        if args.command == "migrate":
            return 0
        product = build(read)
    except DBAPIError as error:
        kind = type(error.orig).__name__
        raise TingsuError(
            f"The database cannot be used ({kind}). Is it there? Has `python -m bot migrate` run?"
        ) from None
    try:
        return _with_product(args, product)
    finally:
        product.close()


def _with_product(args: argparse.Namespace, product: "Product") -> int:
    if args.command == "worker":
        return _worker(product, args.threads)
    if args.command == "poller":
        from bot import poller

        return poller.main(product)
    if args.command == "talk":
        from bot import talk

        return talk.main(product, args.language)
    return _add_user(product, args)


def _worker(product: "Product", threads: int) -> int:
    from bot.worker import Job, Stop, run

    stop = Stop().on_signals()
    jobs = [Job(f"turns-{n}", "work", product.turns().work_once) for n in range(max(1, threads))]
    jobs += [Job(f"send-{n}", "send", product.sender().send_once) for n in range(2)]
    jobs.append(Job("tickets", "tickets", product.ticketing().open_once))
    jobs.append(Job("desk", "tickets", product.desk_work().do_once))
    jobs.append(Job("waiting", "closing time", product.waiting().end_hopeless_waits))
    run(jobs, product.bell, stop)
    return 0


def _add_user(product: "Product", args: argparse.Namespace) -> int:
    if args.password_stdin:
        password = sys.stdin.readline().rstrip("\n")
    else:
        import getpass

        password = getpass.getpass("Password: ")
    user = product.people.add(args.name, args.role, password)
    print(f"{user.name} ({user.role}) can log in now.")
    return 0


def _parse(args: argparse.Namespace) -> int:
    """Runs in the Rasa environment, in place of this process: nothing here touches what goes through."""
    root = Path(__file__).resolve().parent.parent
    python = root / ".venv-rasa" / "bin" / "python"
    if not python.exists():
        raise TingsuError("The Rasa environment is not there: run `make setup` first.")
    command = [str(python), str(root / "nlu_data" / "parse.py")]
    if args.model:
        command += ["--model", args.model]
    os.execv(command[0], command)  # noqa: S606 - our own script, no shell


if __name__ == "__main__":
    sys.exit(main())
