"""Forgets what is no longer needed: people long gone, platforms' raw payloads, dead sessions, files of nobody.

The times are settings. A person is kept for as long as a complaint of theirs is open, and for `keep_days` after the
last thing that happened: an appeal may be made for two years (reference/nlu.md 5.1: matters older are not accepted).
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from bot.errors import HeldByComplaint
from bot.privacy import DONE, Privacy
from bot.store import blobs, conversations, cursors, inbox, personal, webchat
from bot.store.database import Database

log = structlog.get_logger()

SOURCE = "retention"  # row of the table of cursors: one sweeper over all machines
EVERY = 3600.0  # seconds between sweeps
LEASE = 600.0
AT_ONCE = 50  # people erased in one sweep; the rest follow in the next
ORPHAN_AFTER = timedelta(days=1)  # a file whose message row was never written
VISIT_DAYS = 90  # as long as the web chat's cookie lives


@dataclass(frozen=True)
class Keep:
    """For how long, in days."""

    people: int
    raw: int


class Retention:
    """One thread's worth of forgetting."""

    def __init__(self, database: Database, privacy: Privacy, keep: Keep) -> None:
        self._database = database
        self._privacy = privacy
        self._keep = keep
        self._due = 0.0

    def sweep_when_due(self) -> bool:
        """Sweeps once an hour; always False, so that the loop rests until its next tick."""
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + EVERY
            self._sweep_alone()
        return False

    def _sweep_alone(self) -> None:
        with self._database.write() as db:
            lease = cursors.lease(db, SOURCE, LEASE)
        if lease is None:
            return
        try:
            self.sweep()
        finally:
            with self._database.write() as db:
                cursors.release(db, SOURCE, lease[0])

    def sweep(self) -> int:
        """Forgets everything that is due now; gives how many people were erased."""
        with self._database.write() as db:
            clock = conversations.now(db)
            gone = {
                "raw": inbox.forget_raw(db, clock - timedelta(days=self._keep.raw)),
                "visits": webchat.forget_unseen(db, clock - timedelta(days=VISIT_DAYS)),
                "files": blobs.remove_orphans(db, clock - ORPHAN_AFTER),
            }
        erased = self._erase_gone(clock)
        if erased or any(gone.values()):
            log.info("retention", people=erased, **gone)
        return erased

    def _erase_gone(self, clock: datetime) -> int:
        with self._database.read() as db:
            found = personal.silent_since(db, clock - timedelta(days=self._keep.people), tuple(DONE), AT_ONCE)
        return sum(self._erase(one) for one in found)

    def _erase(self, identity_id: int) -> bool:
        try:
            self._privacy.erase([identity_id], "retention")
        except HeldByComplaint:  # reopened since we looked
            return False
        return True
