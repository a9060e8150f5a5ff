"""`python -m bot user add`: makes a login for the console."""

import argparse
import getpass
import sys

from bot import cli
from bot.users import ROLES


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_subparsers(dest="action", required=True).add_parser("add", help="make a login")
    add.add_argument("name")
    add.add_argument("--role", choices=ROLES, required=True)
    add.add_argument("--password-stdin", action="store_true", help="read the password from standard input")


def main(args: argparse.Namespace) -> int:
    with cli.product(upgraded=True) as product:
        user = product.people.add(args.name, args.role, _password(args))
        print(f"{user.name} ({user.role}) can log in now.")
        return 0


def _password(args: argparse.Namespace) -> str:
    if args.password_stdin:
        return sys.stdin.readline().rstrip("\n")
    return getpass.getpass("Password: ")
