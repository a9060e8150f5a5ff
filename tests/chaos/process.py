"""The product's processes with death built in: worker, poller, a claim, and the public door for gunicorn.

They start as operators start them (`bot.__main__`, `webhooks.create_app`); only `build.build` is given more: faults that
kill the process, a desk on paper, and, where a test cannot wait for a minute, shorter leases. What to do comes by these
variables of the environment, which nothing else reads.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from flask import Flask

import bot.channels.telegram  # a child is forked from a process that has loaded everything already
import bot.poller
import bot.sender
import bot.ticketing
import bot.worker
from bot import __main__ as commands
from bot import build, settings, supervisor
from bot.build import Product
from bot.faults import Faults, Moment
from bot.store import postgresql, users
from tests.chaos import mutants, talk_server
from tests.chaos.paper_desk import PaperDesk

ARMED = "TINGSU_CHAOS_ARMED"  # folder: a file with a moment's name kills the first process that gets there
PAPER = "TINGSU_CHAOS_PAPER"  # file of the desk
SILENCE = "TINGSU_CHAOS_SILENCE"  # seconds that PostgreSQL may take for an answer
LEASES = "TINGSU_CHAOS_LEASES"  # seconds, for sending, tickets and polled sources


class Deadly(Faults):
    """SIGKILL at the armed moment, once: whoever takes the file away dies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def at(self, moment: Moment) -> None:
        armed = self._folder / moment.name
        try:
            armed.rename(armed.with_suffix(f".{os.getpid()}"))
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


def prepare(patch: pytest.MonkeyPatch) -> None:
    """Makes this process's `build.build` a deadly one."""
    mutants.apply_chosen(patch)
    if LEASES in os.environ:
        seconds = float(os.environ[LEASES])
        patch.setattr(bot.sender, "LEASE", seconds)
        patch.setattr(bot.poller, "LEASE", seconds)
        patch.setattr(bot.ticketing, "LEASE", timedelta(seconds=seconds))
    if SILENCE in os.environ:
        patch.setattr(postgresql, "SILENCE", float(os.environ[SILENCE]))
    faults = Deadly(Path(os.environ[ARMED]))
    desk = PaperDesk(Path(os.environ[PAPER]))
    patch.setattr(build, "build", partial(build.build, faults=faults, desk=desk))


def product() -> Product:
    return build.build(settings.read(os.environ))


def door() -> Flask:
    """gunicorn's application."""
    import webhooks

    prepare(pytest.MonkeyPatch())
    return webhooks.create_app(product())


def claim(conversation_id: str, epoch: str, name: str) -> int:
    """An agent's claim, in a process of its own as the console is one."""
    made = product()
    with made.database.read() as db:
        user = users.by_name(db, name)
    assert user is not None
    made.ownership.claim(int(conversation_id), int(epoch), user)
    return 0


COMMANDS: Mapping[str, Callable[..., int | None]] = {
    "worker": lambda *more: commands.main(["worker", *more]),
    "poller": lambda: commands.main(["poller"]),
    "claim": claim,
    "talk server": lambda port: talk_server.serve(int(port)),
}


def run(arguments: tuple[str, ...], environ: Mapping[str, str], log: str) -> None:
    """The whole life of a child that multiprocessing has forked for us."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(supervisor._PR_SET_PDEATHSIG, signal.SIGKILL)  # not to outlive a killed test run
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.environ.clear()
    os.environ.update(environ)
    prepare(pytest.MonkeyPatch())
    sys.exit(COMMANDS[arguments[0]](*arguments[1:]) or 0)
