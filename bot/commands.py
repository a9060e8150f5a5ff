"""Carries out what a turn brought: replies, commands, new dialogue state, all in the turn's one commit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Connection

from bot import drafts, facts, outbox
from bot.complaint import Complaints
from bot.dialogue import Said
from bot.drafts import FORM, UNKNOWN_CATEGORY, Draft
from bot.filed import Filed
from bot.handoff import Handoff
from bot.hours import Calendar
from bot.introduction import Introduction
from bot.replies import Reply, in_one_bubble, reply
from bot.store import conversations, turns
from bot.store import inbox as inbox_store
from bot.store.conversations import Conversation
from bot.store.turns import TurnRow
from bot.turn import open_question

log = structlog.get_logger()


@dataclass
class Outcome:
    """What a turn's commit gathers while its commands are carried out."""

    current: Conversation
    turn: TurnRow
    state: Mapping[str, Any]
    replies: list[Reply]
    filed: bool = False
    queue_for: str = ""  # reason, when the turn ends with a person
    commanded: bool = False

    def say(self, *more: Reply) -> None:
        """What waits for an answer stands last."""
        questions = [one for one in self.replies if one.get("question")]
        others = [one for one in self.replies if not one.get("question")]
        self.replies = [*others, *more, *questions]


class Commands:
    """Side effects of the dialogue: the only ones there are."""

    def __init__(
        self,
        complaints: Complaints,
        filed: Filed,
        handoff: Handoff,
        introduction: Introduction,
        calendar: Calendar,
    ) -> None:
        self._complaints = complaints
        self._filed = filed
        self._handoff = handoff
        self._introduction = introduction
        self._calendar = calendar
        self._carry: Mapping[str, Callable[[Connection, Outcome, Mapping[str, Any]], None]] = {
            "file_complaint": self._file_complaint,
            "request_privacy": self._request_privacy,
            "tell_status": self._tell_status,
            "call_agent": self._call_agent,
            "forget_draft": self._forget_draft,
        }

    def context(self, db: Connection, current: Conversation, turn: TurnRow) -> Mapping[str, Any]:
        """What the dialogue may know of the world outside the turn's words."""
        mine = self._complaints.known_to(db, current, turn.received_at)
        return {
            "in_hours": self._calendar.is_open(turn.received_at),
            "has_complaints": bool(mine),
            "complaints": mine,
        }

    def commit(self, db: Connection, current: Conversation, turn: TurnRow, said: Said) -> None:
        """Writes everything that this turn brought. `current` is locked and of the turn's epoch."""
        outcome = Outcome(current, turn, said.state, list(said.replies), commanded=bool(said.commands))
        for command in said.commands:
            self._obey(db, outcome, command)
        inbox_store.take_for_turn(
            db, current.id, turn.first_sequence, turn.last_sequence, turn.id, conversations.now(db)
        )
        turns.finish(db, turn.id, "done", intent=said.intent[:64])
        facts.record(db, "turn.done", actor="bot", conversation_id=current.id, turn=turn.id, intent=said.intent[:64])
        question = open_question(turn.id, outcome.replies)
        dialogue = _remembering(current, turn, outcome)
        conversations.change(db, current.id, dialogue=dialogue, question=dict(question) if question else None)
        self._speak(db, outcome, question)

    def _obey(self, db: Connection, outcome: Outcome, command: Mapping[str, Any]) -> None:
        name, args = command["name"], command["args"]
        if name in self._filed.wishes:
            outcome.say(*self._filed.carry_out(db, name, outcome.current, outcome.turn, args))
        elif name in self._carry:
            self._carry[name](db, outcome, args)
        else:
            log.error("unknown command", command=name)

    def _speak(self, db: Connection, outcome: Outcome, question: Reply | None) -> None:
        """Replies as one turn message; as a notice when the same commit moves the conversation away."""
        if outcome.queue_for:
            self._hand_over(db, outcome)
        elif outcome.replies:  # else the receipt speaks for itself
            said = in_one_bubble([*self._introduction.due(db, outcome.current), *outcome.replies])
            open_id = question["open_id"] if question and said.get("question") == question["question"] else ""
            outbox.turn_reply(db, outcome.current, outcome.turn.id, 0, {**said, "open_id": open_id})

    def _hand_over(self, db: Connection, outcome: Outcome) -> None:
        occasion = f"turn:{outcome.turn.id}"
        replies = [one for one in outcome.replies if not one.get("question")]
        told = [*self._introduction.due(db, outcome.current), *replies]
        if told:
            said = in_one_bubble(told)
            outbox.notice(db, outcome.current, occasion, "handoff", said["key"], args=said.get("args"))
        current = conversations.lock(db, outcome.current.id)  # with the state that this turn has just written
        self._handoff.to_person(db, current, outcome.queue_for, occasion)

    def _file_complaint(self, db: Connection, outcome: Outcome, args: Mapping[str, Any]) -> None:
        first, received_at = drafts.start(outcome.current, outcome.turn)
        draft = Draft(
            category=str(args.get("category") or UNKNOWN_CATEGORY),
            fields=dict(args.get("fields") or {}),
            first_sequence=first,
            last_sequence=outcome.turn.last_sequence,
            received_at=received_at,
            complete=True,
        )
        filed_before = drafts.filed_as(outcome.current)
        if filed_before is not None:
            self._complaints.complete(db, outcome.current, filed_before, draft)
        else:
            self._complaints.file(db, outcome.current, draft, outcome.turn.id)
        outcome.filed = True

    def _request_privacy(self, db: Connection, outcome: Outcome, args: Mapping[str, Any]) -> None:
        """A complaint of its own kind. Due like one: 15 days, the term that MIIT's rules of 2013 on telecom users'
        personal data set for answering; PIPL art. 50 sets none."""
        turn = outcome.turn
        draft = Draft(
            category=UNKNOWN_CATEGORY,
            fields={"what": str(args.get("text") or ""), "request": str(args.get("request") or "other")[:32]},
            first_sequence=turn.first_sequence,
            last_sequence=turn.last_sequence,
            received_at=turn.received_at,
            complete=True,
        )
        filed = self._complaints.file(db, outcome.current, draft, turn.id)
        facts.record(
            db,
            "privacy.requested",
            actor="customer",
            conversation_id=outcome.current.id,
            complaint_id=filed.id,
            request=draft.fields["request"],
        )
        outcome.filed = True

    def _tell_status(self, db: Connection, outcome: Outcome, args: Mapping[str, Any]) -> None:
        reference, code = args.get("reference"), args.get("receipt_code")
        outcome.say(*self._complaints.status_replies(db, outcome.current, reference, code))

    def _call_agent(self, db: Connection, outcome: Outcome, args: Mapping[str, Any]) -> None:
        outcome.queue_for = str(args.get("reason") or "wish")[:32]

    def _forget_draft(self, db: Connection, outcome: Outcome, args: Mapping[str, Any]) -> None:
        """A draft that was filed when a person was called is a complaint already: said, not forgotten."""
        facts.record(db, "draft.forgotten", actor="customer", conversation_id=outcome.current.id)
        if drafts.filed_as(outcome.current) is not None:
            outcome.replies = [reply("form.stopped_filed", ["status", "human"])]

    def give_up(self, db: Connection, current: Conversation, turn: TurnRow, reason: str) -> None:
        """A turn that cannot be answered: the draft is filed as it is, and a person takes over.

        In hours its messages stay open, as unanswered, for the agent; out of hours they are taken with the
        turn, so that the customer's next message is a new one.
        """
        turns.finish(db, turn.id, "dead", reason=reason)
        facts.record(db, "turn.dead", conversation_id=current.id, turn=turn.id, reason=reason)
        filed = self._draft_filed(db, current, turn)
        if not self._calendar.is_open(conversations.now(db)):
            inbox_store.take_for_turn(
                db, current.id, turn.first_sequence, turn.last_sequence, turn.id, conversations.now(db)
            )
        self._handoff.to_person(db, filed, "bot failed", f"turn:{turn.id}", excuse="trouble")

    def _draft_filed(self, db: Connection, current: Conversation, turn: TurnRow) -> Conversation:
        """The conversation after its draft was filed; what broke the turn may be the draft itself, and nobody waits for it."""
        try:
            with db.begin_nested():
                filed = self._handoff.file_draft(db, current)
        except Exception as error:
            log.exception("draft not filed", turn=turn.id, error=type(error).__name__)
            return current
        if filed is current:
            return current
        conversations.change(db, current.id, dialogue={}, question=None)
        return conversations.lock(db, current.id)


def _remembering(current: Conversation, turn: TurnRow, outcome: Outcome) -> dict[str, Any]:
    """The new dialogue state; while a complaint is being told it remembers with which message that began.

    A picture that comes before the words is where the complaint begins. A second complaint that was told together
    with the first begins where the first did.
    """
    state = {name: value for name, value in outcome.state.items() if name != "draft"}
    taking = state.get("active_form") == FORM
    picture_first = turn.attachments and not (turn.text or outcome.commanded or state.get("active_form"))
    if taking or picture_first:
        state["draft"] = drafts.begun_at(*drafts.start(current, turn))
        filed_before = drafts.filed_as(current)
        if filed_before is not None and not outcome.filed:
            state["draft"]["complaint"] = filed_before
    return state


def answer_to_media(current: Conversation, kept: int) -> Said:
    """In the middle of a form a picture needs no model: it is confirmed, and the open question is repeated.

    Why a file was not kept has been said when it was refused; if none was, there is nothing to confirm.
    """
    asked = current.question
    again = [{name: asked[name] for name in ("key", "args", "question", "buttons") if name in asked}] if asked else []
    return Said([*([reply("system.photo_received")] if kept else []), *again], [], current.dialogue)
