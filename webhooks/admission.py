"""Refuses posts before anything is stored while the product is under pressure; a wish for a person always gets in."""

from collections.abc import Sequence

from bot.inbox import wishes_person
from bot.message import Incoming
from bot.pressure import DISK
from webhooks.problems import Problem
from webhooks.product import product

RETRY_AFTER = 60  # seconds


def admit_file() -> None:
    """Raises Problem 503 when a disk is nearly full: a file can wait, words are more."""
    if DISK in product().pressure.reasons():
        raise Problem(503, "busy", retry_after=RETRY_AFTER)


def admit(events: Sequence[Incoming], refusing: Sequence[str]) -> None:
    """Raises Problem 503 when one of these reasons holds. All events of a post get in, or none: they are repeated whole."""
    if not events or not product().pressure.reasons().intersection(refusing):
        return
    if not any(wishes_person(event) for event in events):
        raise Problem(503, "busy", retry_after=RETRY_AFTER)
