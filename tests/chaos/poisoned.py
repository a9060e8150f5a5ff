"""A worker, in a process of its own, that some messages kill: what `python -m bot worker` runs, on scripted outsides."""

import os
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from bot import logs, sender, settings, texts, ticketing, worker
from bot.build import Product, build
from bot.channel import Media
from bot.cli.worker import HUNG, jobs_of
from bot.desk import NewTicket, Ticket
from bot.desks.local import LocalDesk
from bot.dialogue import Question, Said, Script
from bot.message import Attachment
from bot.store.database import Database
from tests.chaos.mutants import apply_chosen
from tests.talking import complaint_talk
from tests.test_sending import FakeChannel

texts.load()  # by the server that the children are forked from, once

EXIT, LOOP, DEEP = "poison exit", "poison loop", "poison deep"
SEND, FILE, TICKET = "poison send", "poison file", "poison ticket"
KILLED = 9
LEASE = 0.6  # seconds
_LONGEST_LOOP = 20.0  # seconds; nothing may spin for ever, not even here


def work(environ: Mapping[str, str]) -> None:
    """Until it is killed by what it reads, or by the test."""
    apply_chosen(pytest.MonkeyPatch())
    logs.configure("error")
    sender.LEASE = LEASE
    worker.TICK = 0.2
    ticketing.LEASE = timedelta(seconds=LEASE)
    pytest.MonkeyPatch().setattr(sender, "split", _split)
    product = _product(environ)
    stop = worker.Stop()
    if not worker.run(jobs_of(product, 3, stop), product.bell, stop):
        os._exit(HUNG)


def _product(environ: Mapping[str, str]) -> Product:
    read = replace(settings.read(environ), lease_seconds=LEASE)
    made = build(read, dialogue=Script(_answer), desk=_Desk(Database(read.database_url)))
    made.channels._made[made.accounts["screen", "main"].id] = _Channel()
    return made


def _answer(question: Question) -> Said:
    words = question.text or ""
    if words == EXIT:
        os._exit(KILLED)
    if words == LOOP:
        _spin()
    if words == DEEP:
        _answer(question)
    return complaint_talk(question)


def _spin() -> None:
    end = time.monotonic() + _LONGEST_LOOP
    while time.monotonic() < end:
        pass


def _split(text: str, limit: int, counted_in: str) -> list[str]:
    if SEND in text:
        os._exit(KILLED)
    return [text]


class _Channel(FakeChannel):
    def download(self, attachment: Attachment) -> Media:
        os._exit(KILLED)


class _Desk(LocalDesk):
    def open(self, ticket: NewTicket) -> Ticket:
        if TICKET in ticket.summary:
            os._exit(KILLED)
        return super().open(ticket)


def freeze() -> None:
    """A worker in which no Python runs any more: the regular expression holds the interpreter's lock."""
    worker.FROZEN = 2.0
    trap = re.compile(r"(a+)+$")

    def once() -> bool:
        return trap.match("a" * 60 + "b") is not None

    from bot.bell import Bell

    worker.run([worker.Job("frozen", "work", once)], Bell(""), worker.Stop())
