"""`python -m bot run`: everything on one machine."""

import argparse

from bot import cli, run


def arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def main(args: argparse.Namespace) -> int:
    return run.main(cli.read_settings())
