"""When somebody is in danger: the numbers that help, at once, and a person before everybody else who waits."""

from dataclasses import replace

from sqlalchemy import Connection

from bot import conversation as ownership
from bot import drafts, emergency, facts, outbox
from bot.complaint import Complaints
from bot.drafts import UNKNOWN_CATEGORY, Draft
from bot.handoff import Handoff
from bot.store import conversations
from bot.store import inbox as store
from bot.store.conversations import FRONT, Conversation

LONGEST = 2_000  # characters of the message that are filed
_CATEGORY = {emergency.LIFE: UNKNOWN_CATEGORY, emergency.FRAUD: "security.fraud_identity"}
_SEVERITY = {emergency.LIFE: "critical", emergency.SELF_HARM: "critical", emergency.FRAUD: "high"}


class Alarms:
    """Methods join the transaction that accepts the message."""

    def __init__(self, complaints: Complaints, handoff: Handoff) -> None:
        self._complaints = complaints
        self._handoff = handoff

    def raise_for(self, db: Connection, found: Conversation, kind: str, text: str, inbox_id: int) -> str:
        """The message's disposition. Not for a conversation with an agent: help is there already."""
        facts.record(db, "danger.heard", actor="customer", conversation_id=found.id, danger=kind)
        outbox.notice(db, found, f"danger:{inbox_id}", "emergency", f"emergency.{kind}")
        if found.state == "queued":
            conversations.change(db, found.id, queue_rank=FRONT)
            ownership.tell_position(db, replace(found, queue_rank=FRONT), f"{inbox_id}")
        else:
            reason, severity = f"danger {kind}", _SEVERITY[kind]
            self._handoff.to_person(db, found, reason, f"{inbox_id}", actor="customer", rank=FRONT, severity=severity)
        self._file(db, found, kind, text)
        return store.WISH

    def _file(self, db: Connection, seen: Conversation, kind: str, text: str) -> None:
        """What was being told is filed by the handoff; else what is said now is. Who speaks of dying gets help, not a reference."""
        current = conversations.lock(db, seen.id)
        if kind in _CATEGORY and drafts.filed_as(current) is None:
            self._complaints.file(db, current, _draft(db, seen, kind, text))


def _draft(db: Connection, found: Conversation, kind: str, text: str) -> Draft:
    sequence = found.next_sequence - 1
    return Draft(
        category=_CATEGORY[kind],
        fields={"what": text[:LONGEST]},
        first_sequence=sequence,
        last_sequence=sequence,
        received_at=conversations.now(db),
        complete=False,
        severity=_SEVERITY[kind],
    )
