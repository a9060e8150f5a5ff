"""When the doors had better refuse: the disk is nearly full, or workers are so far behind that an answer would come too late."""

import shutil
import threading
import time
from datetime import timedelta
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from bot.store import figures
from bot.store.conversations import now
from bot.store.database import Database

DISK, BACKLOG = "disk", "backlog"
REASONS = (DISK, BACKLOG)
KEPT = 2.0  # seconds between looks


class Pressure:
    """The same answer for KEPT seconds: a door asks at every post."""

    def __init__(self, database: Database, home: Path, least_disk: int, longest_backlog: timedelta) -> None:
        """`least_disk` in bytes, free where the data directory is."""
        self._database = database
        self._home = home
        self._least_disk = least_disk
        self._longest_backlog = longest_backlog
        self._looking = threading.Lock()
        self._looked_at = -KEPT
        self._found: frozenset[str] = frozenset()

    def reasons(self) -> frozenset[str]:
        with self._looking:
            if time.monotonic() - self._looked_at >= KEPT:
                self._found = frozenset(self._look())
                self._looked_at = time.monotonic()
            return self._found

    def _look(self) -> list[str]:
        found = [DISK] if shutil.disk_usage(self._home).free < self._least_disk else []
        return [*found, BACKLOG] if self._behind() else found

    def _behind(self) -> bool:
        """By the conversation that no worker has looked at for longest: one that fails again and again is looked at."""
        try:
            with self._database.read() as db:
                since = figures.oldest_due_work(db)
                return since is not None and now(db) - since > self._longest_backlog
        except SQLAlchemyError:
            return False  # what comes next fails by itself, and says so better
