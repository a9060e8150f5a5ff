"""Nobody waits for ever: at closing time, or after the longest wait, a queued customer gets a promise instead."""

from datetime import timedelta

from sqlalchemy import Connection

from bot import conversation as ownership
from bot import facts
from bot.bell import Bell
from bot.errors import NotYours
from bot.hours import Calendar
from bot.store import conversations
from bot.store.conversations import Conversation
from bot.store.database import Database


class Waiting:
    """Looks at the queue now and then."""

    def __init__(
        self, database: Database, bell: Bell, calendar: Calendar, longest: timedelta, callback_within: timedelta
    ) -> None:
        self._database = database
        self._bell = bell
        self._calendar = calendar
        self._longest = longest
        self._callback_within = callback_within

    def end_hopeless_waits(self) -> bool:
        """Ends the waits that have lasted too long; always False, so that the loop rests until its next tick."""
        with self._database.read() as db:
            waiting = conversations.queue(db)
        for one in waiting:
            if self._end(one):
                self._bell.ring("send")
                self._bell.ring("live")
        return False

    def _end(self, seen: Conversation) -> bool:
        with self._database.write() as db:
            current = conversations.lock(db, seen.id)
            if current.epoch != seen.epoch or not self._hopeless(db, current):
                return False
            due = self._calendar.callback_due(conversations.now(db), self._callback_within)
            try:
                closed = ownership.move(db, current, "closed", "nobody free", actor="system")
            except NotYours:
                return False
            ownership.promise_callback(db, closed, f"waited:{closed.id}:{closed.epoch}", due, "callback.waited")
            facts.record(db, "wait.ended", conversation_id=closed.id)
        return True

    def _hopeless(self, db: Connection, current: Conversation) -> bool:
        clock = conversations.now(db)
        if not self._calendar.is_open(clock):
            return True
        return current.queued_at is not None and clock - current.queued_at > self._longest
