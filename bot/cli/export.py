"""`python -m bot export PERSON`: a copy of everything that is held of a person, for that person (PIPL, article 45)."""

import argparse
from pathlib import Path

from bot import cli
from bot.errors import TingsuError
from bot.privacy import summary

WHO = "a reference, identity:5, person:3, telegram/main:12345, or a number that was given with a complaint"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("person", help=WHO)
    parser.add_argument("--to", type=Path, required=True, help="the ZIP file to write; it must not exist")


def main(args: argparse.Namespace) -> int:
    with cli.product() as product:
        privacy = product.privacy()
        identities = privacy.find(args.person)
        try:
            rows = privacy.export(identities, args.to)
        except OSError as error:
            raise TingsuError(f"{args.to} cannot be written: {error.strerror}.") from None
        print(f"{args.to} holds everything of {_named(identities)}: {summary(rows)}.")
        return 0


def _named(identities: list[int]) -> str:
    return ", ".join(f"identity:{one}" for one in identities)
