"""Carries out what a turn brought: replies, commands, new dialogue state, all in the turn's one commit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection

from bot import conversation as ownership
from bot import facts, outbox
from bot.complaint import Complaints, Draft
from bot.dialogue import Said
from bot.hours import Calendar
from bot.required import missing
from bot.store import conversations, turns
from bot.store import inbox as inbox_store
from bot.store.conversations import Conversation
from bot.store.turns import TurnRow
from bot.turn import open_question

log = structlog.get_logger()

UNKNOWN_CATEGORY = "other.other"
HUMAN_BUTTON = {"payload": "human", "key": "button.human"}


@dataclass
class Outcome:
    """What a turn's commit gathers while its commands are carried out."""

    current: Conversation
    turn: TurnRow
    state: Mapping[str, Any]
    replies: list[Mapping[str, Any]]
    filed: bool = False
    queue_for: str = ""  # reason, when the turn ends with a person


class Commands:
    """Side effects of the dialogue: the only ones there are."""

    def __init__(self, complaints: Complaints, calendar: Calendar, callback_within: timedelta) -> None:
        self._complaints = complaints
        self._calendar = calendar
        self._callback_within = callback_within
        self._carry: Mapping[str, Callable[[Connection, Outcome, Mapping[str, Any]], None]] = {
            "file_complaint": self._file_complaint,
            "tell_status": self._tell_status,
            "call_agent": self._call_agent,
            "forget_draft": self._forget_draft,
        }

    def commit(self, db: Connection, current: Conversation, turn: TurnRow, said: Said) -> None:
        """Writes everything that this turn brought. `current` is locked and of the turn's epoch."""
        outcome = Outcome(current, turn, said.state, list(said.replies))
        for command in said.commands:
            self._obey(db, outcome, command)
        inbox_store.take_for_turn(
            db, current.id, turn.first_sequence, turn.last_sequence, turn.id, conversations.now(db)
        )
        turns.finish(db, turn.id, "done", intent=said.intent[:64])
        facts.record(db, "turn.done", actor="bot", conversation_id=current.id, turn=turn.id, intent=said.intent[:64])
        question = open_question(turn.id, outcome.replies)
        conversations.change(
            db,
            current.id,
            dialogue=_with_draft_start(current, turn, outcome),
            question=dict(question) if question else None,
        )
        self._speak(db, outcome, question)

    def _obey(self, db: Connection, outcome: Outcome, command: Mapping[str, Any]) -> None:
        carry = self._carry.get(command["name"])
        if carry is None:
            log.error("unknown command", command=command["name"])
            return
        carry(db, outcome, command["args"])

    def _speak(self, db: Connection, outcome: Outcome, question: Mapping[str, Any] | None) -> None:
        """Replies as turn messages; as notices when the same commit moves the conversation away."""
        if outcome.queue_for:
            self._hand_over(db, outcome)
            return
        for part, reply in enumerate(outcome.replies):
            open_id = question["open_id"] if question and reply.get("question") == question["question"] else ""
            outbox.turn_reply(db, outcome.current, outcome.turn.id, part, {**reply, "open_id": open_id})

    def _hand_over(self, db: Connection, outcome: Outcome) -> None:
        for part, reply in enumerate(outcome.replies):
            outbox.notice(
                db,
                outcome.current,
                f"turn:{outcome.turn.id}",
                "handoff",
                reply["key"],
                args=reply.get("args"),
                part=part,
            )
        self.to_person(db, outcome.current, outcome.queue_for, f"turn:{outcome.turn.id}")

    def to_person(
        self, db: Connection, current: Conversation, reason: str, occasion: str, trouble: bool = False
    ) -> None:
        """In hours the conversation is queued; otherwise a call-back promise is recorded and told."""
        clock = conversations.now(db)
        if self._calendar.is_open(clock):
            if trouble:
                outbox.notice(db, current, f"trouble:{occasion}", "handoff", "handoff.trouble")
            waiting = ownership.move(db, current, "queued", reason, actor="bot")
            ownership.tell_position(db, waiting, occasion)
            return
        due = self._calendar.callback_due(clock, self._callback_within)
        text_key = "callback.trouble" if trouble else "callback.promised"
        ownership.promise_callback(db, current, occasion, due, text_key)

    def _file_complaint(self, db: Connection, outcome: Outcome, args: Mapping[str, Any]) -> None:
        first, received_at = _draft_start(outcome.current, outcome.turn)
        draft = Draft(
            category=str(args.get("category") or UNKNOWN_CATEGORY),
            fields=dict(args.get("fields") or {}),
            first_sequence=first,
            received_at=received_at,
            complete=True,
        )
        self._complaints.file(db, outcome.current, outcome.turn, draft)
        outcome.filed = True

    def _tell_status(self, db: Connection, outcome: Outcome, args: Mapping[str, Any]) -> None:
        status = self._complaints.status_replies(db, outcome.current, args.get("reference"), args.get("receipt_code"))
        questions = [reply for reply in outcome.replies if reply.get("question")]
        others = [reply for reply in outcome.replies if not reply.get("question")]
        outcome.replies = [*others, *status, *questions]  # what waits for an answer stands last

    def _call_agent(self, db: Connection, outcome: Outcome, args: Mapping[str, Any]) -> None:
        outcome.queue_for = str(args.get("reason") or "wish")[:32]

    def _forget_draft(self, db: Connection, outcome: Outcome, args: Mapping[str, Any]) -> None:
        facts.record(db, "draft.forgotten", actor="customer", conversation_id=outcome.current.id)

    def give_up(self, db: Connection, current: Conversation, turn: TurnRow, reason: str) -> None:
        """A turn that cannot be answered: the draft is filed as it is, and a person takes over.

        In hours its messages stay open, as unanswered, for the agent; out of hours they are taken with the
        turn, so that the customer's next message is a new one.
        """
        turns.finish(db, turn.id, "dead", reason=reason)
        facts.record(db, "turn.dead", conversation_id=current.id, turn=turn.id, reason=reason)
        try:
            with db.begin_nested():
                self._file_unfinished(db, current, turn)
        except Exception as error:  # what broke the turn may be the draft itself; the person is not to wait for it
            log.exception("draft not filed", turn=turn.id, error=type(error).__name__)
        if not self._calendar.is_open(conversations.now(db)):
            inbox_store.take_for_turn(
                db, current.id, turn.first_sequence, turn.last_sequence, turn.id, conversations.now(db)
            )
        self.to_person(db, current, "bot failed", f"turn:{turn.id}", trouble=True)

    def _file_unfinished(self, db: Connection, current: Conversation, turn: TurnRow) -> None:
        slots = dict(current.dialogue.get("slots") or {})
        if not current.dialogue.get("active_form") or not slots.get("what"):
            return
        first, received_at = _draft_start(current, turn)
        category = str(slots.get("category") or UNKNOWN_CATEGORY)
        draft = Draft(category, slots, first, received_at, complete=not missing(category, slots))
        self._complaints.file(db, current, turn, draft)
        conversations.change(db, current.id, dialogue={}, question=None)


def _draft_start(current: Conversation, turn: TurnRow) -> tuple[int, datetime]:
    """First message of what is being filed, and when it came: the statutory clock runs from there."""
    started = current.dialogue.get("draft")
    if not started:
        return turn.first_sequence, turn.received_at
    return int(started["sequence"]), datetime.fromisoformat(started["at"])


def _with_draft_start(current: Conversation, turn: TurnRow, outcome: Outcome) -> dict[str, Any]:
    """The new dialogue state; while a form is open it remembers with which message the draft began."""
    state = {name: value for name, value in outcome.state.items() if name != "draft"}
    if state.get("active_form") and not outcome.filed:
        first, received_at = _draft_start(current, turn)
        state["draft"] = {"sequence": first, "at": received_at.isoformat()}
    return state


def answer_to_media(current: Conversation, kept: int) -> Said:
    """Files without words need no model: they are confirmed, and the open question is repeated.

    Why a file was not kept has been said when it was refused.
    """
    asked = current.question
    if asked is None and not kept:
        return Said([], [], current.dialogue)
    if asked is None:
        return Said([{"key": "system.photo_alone", "args": {}, "buttons": [HUMAN_BUTTON]}], [], current.dialogue)
    again = {name: asked[name] for name in ("key", "args", "question", "buttons") if name in asked}
    received = [{"key": "system.photo_received", "args": {}, "buttons": []}] if kept else []
    return Said([*received, again], [], current.dialogue)
