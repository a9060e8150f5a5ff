"""To a person, always: queued with a position, or promised with a date; and what was told is filed as it is."""

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Connection

from bot import conversation as ownership
from bot import drafts, outbox
from bot.complaint import Complaints
from bot.hours import Calendar
from bot.introduction import Introduction
from bot.store import conversations
from bot.store.conversations import ORDINARY, Conversation


class Handoff:
    """Methods join the caller's transaction, which has the conversation locked."""

    def __init__(
        self, complaints: Complaints, calendar: Calendar, callback_within: timedelta, introduction: Introduction
    ) -> None:
        self._complaints = complaints
        self._calendar = calendar
        self._callback_within = callback_within
        self._introduction = introduction

    def to_person(
        self,
        db: Connection,
        current: Conversation,
        reason: str,
        occasion: str,
        *,
        actor: str = "bot",
        rank: int = ORDINARY,
        excuse: str = "",
        severity: str = "",
    ) -> None:
        """In hours the conversation is queued; otherwise a call-back promise is recorded and told.

        `excuse` (trouble, desk) names the text that says why, where it was not the customer's wish.
        """
        current = self.file_draft(db, current, severity)
        clock = conversations.now(db)
        if not self._calendar.is_open(clock):
            due = self._calendar.callback_due(clock, self._callback_within)
            ownership.promise_callback(db, current, occasion, due, f"callback.{excuse or 'promised'}")
            return
        if excuse:
            outbox.notice(db, current, f"{excuse}:{occasion}", "handoff", f"handoff.{excuse}")
        introduced = self._introduction.due(db, current) if rank == ORDINARY else []
        waiting = ownership.move(db, current, "queued", reason, actor=actor, rank=rank)
        ownership.tell_position(db, waiting, occasion, introduced)

    def file_draft(self, db: Connection, current: Conversation, severity: str = "") -> Conversation:
        """Files what the customer has told so far; the form can still be finished, which completes the complaint."""
        draft = drafts.unfinished(current)
        if draft is None:
            return current
        filed = self._complaints.file(db, current, replace(draft, severity=severity))
        dialogue = drafts.with_complaint(current.dialogue, filed.id)
        conversations.change(db, current.id, dialogue=dialogue)
        return replace(current, dialogue=dialogue)
