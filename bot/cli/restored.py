"""`python -m bot restored`: once after a backup was restored, before anything else starts: nothing goes out twice."""

import argparse

from bot import cli
from bot.restored import set_aside


def arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def main(args: argparse.Namespace) -> int:
    with cli.product(upgraded=True) as product:
        found = set_aside(product.database, product.channels)
    print(
        f"{found.messages} messages that may have gone out already are uncertain now; look at them in the console.\n"
        f"{found.tickets} tickets will be searched at the desk before they are opened.\n"
        f"{found.unanswered} messages of customers are open: the bot answers them, perhaps a second time."
    )
    return 0
