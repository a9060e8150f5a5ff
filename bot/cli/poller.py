"""`python -m bot poller`: reads what does not come by itself, until it is told to stop."""

import argparse

from bot import cli, poller


def arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def main(args: argparse.Namespace) -> int:
    with cli.product() as product:
        return poller.main(product)
