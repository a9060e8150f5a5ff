"""Whose complaint it is: the speaker's own, or proven by the receipt code; guessing is limited, noticed, and tells nothing."""

from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from bot import facts, reference
from bot.sealing import Seal
from bot.store import complaints as store
from bot.store import conversations
from bot.store import facts as fact_store
from bot.store.complaints import Complaint
from bot.store.conversations import Conversation

log = structlog.get_logger()

WRONG_GUESSES_PER_HOUR = 5  # per customer; after that even a right code is not looked at
WRONG_GUESSES_PER_REFERENCE = 20  # per day, over all customers
ALARM = "guessing.alarm"


class Proof:
    """A stranger's, an unknown and a mistyped reference look the same from outside, and so does being blocked."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    def code_hash(self, ours: str, code: str) -> str:
        return self._seal.digest("receipt code", f"{ours} {code}")

    def find(self, db: Connection, conversation: Conversation, typed: str, code: str | None) -> Complaint | None:
        """The complaint if it is the speaker's own, or the receipt code proves it; None for all else."""
        ours = reference.parse(typed)
        found = store.by_reference(db, ours) if ours else None
        if found is not None and found.identity_id == conversation.identity_id:
            return found
        if self._guessed_too_often(db, conversation, found):
            return None
        if found is not None and code and self.code_hash(found.reference, code) == found.receipt_code_hash:
            facts.record(db, "proof.given", conversation_id=conversation.id, complaint_id=found.id)
            return found
        facts.record(
            db,
            "proof.denied",
            actor="customer",
            conversation_id=conversation.id,
            complaint_id=found.id if found else None,
        )
        return None

    def _guessed_too_often(self, db: Connection, conversation: Conversation, found: Complaint | None) -> bool:
        clock = conversations.now(db)
        an_hour_ago = clock - timedelta(hours=1)
        by_customer = fact_store.count_since(db, "proof.denied", an_hour_ago, conversation_id=conversation.id)
        if by_customer >= WRONG_GUESSES_PER_HOUR:
            self._alarm(db, conversation, an_hour_ago)
            return True
        if found is None:
            return False
        a_day_ago = clock - timedelta(days=1)
        return (
            fact_store.count_since(db, "proof.denied", a_day_ago, complaint_id=found.id) >= WRONG_GUESSES_PER_REFERENCE
        )

    def _alarm(self, db: Connection, conversation: Conversation, since: datetime) -> None:
        """Once an hour and customer: what an operator's alerting looks for."""
        if fact_store.count_since(db, ALARM, since, conversation_id=conversation.id):
            return
        facts.record(db, ALARM, conversation_id=conversation.id, guesses=WRONG_GUESSES_PER_HOUR)
        log.warning("references are being guessed", conversation=conversation.id)
