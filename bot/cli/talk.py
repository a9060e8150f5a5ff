"""`python -m bot talk`: a conversation in this terminal."""

import argparse

from bot import cli, talk


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--language", choices=("zh", "en"), default="zh")


def main(args: argparse.Namespace) -> int:
    with cli.product() as product:
        return talk.main(product, args.language)
