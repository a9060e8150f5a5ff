"""`python -m bot erase PERSON`: erases everything personal of a person (PIPL, article 47); facts and counts stay."""

import argparse

from bot import cli
from bot.cli.export import WHO
from bot.privacy import summary


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("person", help=WHO)
    parser.add_argument("--yes", action="store_true", help="really; without it only what would be erased is said")


def main(args: argparse.Namespace) -> int:
    with cli.product() as product:
        privacy = product.privacy()
        identities = privacy.find(args.person)
        names = ", ".join(f"identity:{one}" for one in identities)
        if not args.yes:
            print(f"Would erase {names}: {summary(privacy.held(identities))}. It cannot be undone; --yes does it.")
            return 0
        print(f"Erased {names}: {summary(privacy.erase(identities, 'asked').rows)}.")
        return 0
