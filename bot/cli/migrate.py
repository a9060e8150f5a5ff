"""`python -m bot migrate`: the tables of this version."""

import argparse

from bot import cli


def arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def main(args: argparse.Namespace) -> int:
    cli.upgrade(cli.read_settings())
    return 0
