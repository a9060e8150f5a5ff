"""The commands of `python -m bot`, one file each: `arguments(parser)` and `main(args)`, imported when it is called.

A new command is a file here and its line in COMMANDS.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bot import logs, settings
from bot.errors import TingsuError
from bot.settings import Settings

if TYPE_CHECKING:
    from bot.build import Product

COMMANDS: Mapping[str, str] = {
    "run": "start everything on this machine, under one supervisor",
    "check": "say what is unsafe about database and Redis, and what to do",
    "migrate": "bring the database to this version's shape",
    "worker": "answer conversations, send, open tickets",
    "poller": "read polled channels and desks",
    "talk": "talk to the bot in this terminal",
    "parse": "one utterance a line in, one JSON object a line out",
    "letters": "dead letters and uncertain sends: list, show, replay, discard",
    "restored": "once after a backup was restored, before anything else starts",
    "export": "a copy of everything that is held of a person",
    "erase": "erase everything personal of a person",
    "user": "logins for the console",
}


def read_settings() -> Settings:
    """The environment's, with logging set up by them. Raises SettingsWrong."""
    read = settings.read(os.environ)
    logs.configure(read.log_level)
    return read


@contextmanager
def product(*, upgraded: bool = False) -> Iterator["Product"]:
    """The product for the length of a command, on a database that is `upgraded` first or must be so already.

    Raises SettingsWrong, or TingsuError for a database that cannot be used.
    """
    from bot.build import build

    read = read_settings()
    if upgraded:
        upgrade(read)
    with database_trouble_said():
        made = build(read)
    try:
        yield made
    finally:
        made.close()


def upgrade(read: Settings) -> None:
    """Brings the database to this version's shape. Raises TingsuError when it cannot be used."""
    from bot.store import database

    with database_trouble_said():
        database.upgrade(database.Database(read.database_url))


@contextmanager
def database_trouble_said() -> Iterator[None]:
    """Raises TingsuError, which says what to do, for what the database's driver raises."""
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except DBAPIError as error:
        kind = type(error.orig).__name__
        raise TingsuError(
            f"The database cannot be used ({kind}). Is it there? Has `python -m bot migrate` run?"
        ) from None
