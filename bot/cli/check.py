"""`python -m bot check`: what is unsafe about the database and Redis, and what to do about it."""

import argparse

from sqlalchemy.exc import DBAPIError

from bot import cli, guards
from bot.guards import Finding
from bot.settings import Settings
from bot.store.database import Database


def arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def main(args: argparse.Namespace) -> int:
    """0 when Tingsu would serve, 1 when not."""
    found = _findings(cli.read_settings())
    for one in found:
        print(one)
    refused = any(one.refuses for one in found)
    print("Tingsu does not start on this." if refused else "Nothing stands in the way.")
    return int(refused)


def _findings(settings: Settings) -> list[Finding]:
    database = Database(settings.database_url)
    try:
        return guards.findings(settings, database)
    except DBAPIError as error:
        kind = type(error.orig).__name__
        return [Finding(True, f"the database cannot be used ({kind})", "Start it, or set TINGSU_DATABASE_URL.")]
    finally:
        database.close()
