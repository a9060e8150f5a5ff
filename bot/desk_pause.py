"""A desk that does not answer, or asks for a pause, is left alone by all workers; then one of them tries.

Receipts and drafts do not wait for it: only the opening of tickets does.
"""

from datetime import datetime, timedelta

from sqlalchemy import Connection

from bot import facts
from bot.store import conversations
from bot.store import desk_pauses as store

FAILURES_ALLOWED = 5  # calls in a row without an answer
FIRST_PAUSE = timedelta(seconds=15)
LONGEST_PAUSE = timedelta(minutes=5)


def may_ask(db: Connection, desk: str, clock: datetime, trial: timedelta) -> bool:
    """Whether the desk may be asked now; after a pause one caller may, and the others wait for `trial` or its outcome."""
    failures, until = store.read(db, desk)
    if until is None:
        return True
    if until > clock:
        return False
    return failures < FAILURES_ALLOWED or store.take_trial(db, desk, clock, clock + trial)


def silent(db: Connection, desk: str) -> None:
    """It gave no answer: too many in a row make a pause, each longer than the one before."""
    failures = store.count_failure(db, desk)
    beyond = failures - FAILURES_ALLOWED
    if beyond < 0:
        return
    store.rest(db, desk, conversations.now(db) + min(FIRST_PAUSE * 2 ** min(beyond, 16), LONGEST_PAUSE))
    if beyond == 0:
        facts.record(db, "desk.silent", desk=desk)


def answered(db: Connection, desk: str) -> None:
    if store.forgive(db, desk):
        facts.record(db, "desk.answers", desk=desk)


def throttled(db: Connection, desk: str, seconds: float) -> None:
    """It asked for a pause, for everybody."""
    store.throttle(db, desk, conversations.now(db) + timedelta(seconds=seconds))
