"""Who answers: bot, queue, agent or nobody. The table of moves, and what an agent may do."""

import time
from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import NoResultFound

from bot import facts, outbox
from bot.bell import Bell
from bot.channel import SEND_DEADLINE
from bot.errors import Newer, NotYours
from bot.faults import Faults, Moment
from bot.replies import Reply, in_one_bubble, reply
from bot.store import complaints as complaint_store
from bot.store import conversations as store
from bot.store import inbox as inbox_store
from bot.store import leases
from bot.store import outbox as outbox_store
from bot.store import users as user_store
from bot.store.conversations import Conversation
from bot.store.database import Database
from bot.store.users import User

# DESIGN section 6. What is not here does not happen.
MOVES = frozenset(
    {
        ("bot", "queued"),
        ("bot", "agent"),
        ("bot", "closed"),
        ("queued", "agent"),
        ("queued", "bot"),
        ("queued", "closed"),
        ("closed", "queued"),
        ("closed", "bot"),
        ("closed", "agent"),
        ("agent", "agent"),
        ("agent", "queued"),
        ("agent", "bot"),
        ("agent", "closed"),
    }
)

LEADING = frozenset({"supervisor", "admin"})
CLAIM_PATIENCE = SEND_DEADLINE + 2.0  # seconds; longer than any send that can be in flight
_LOOK_AGAIN = 0.03


def owner_name(db: Connection, conversation: Conversation) -> str:
    """For people: an agent's name, or the state."""
    if conversation.owner_id is None:
        return conversation.state
    user = user_store.read(db, conversation.owner_id)
    return user.name if user else "agent"


def move(
    db: Connection,
    seen: Conversation,
    to: str,
    reason: str,
    *,
    actor: str,
    owner_id: int | None = None,
    rank: int = store.ORDINARY,
) -> Conversation:
    """The one way to change who answers: compare-and-set on the epoch, which it bumps.

    Messages of the old epoch's turns die with it; notices wait while an agent answers. Raises NotYours when
    the conversation has moved since `seen`, ValueError for a move that DESIGN section 6 does not know.
    """
    if (seen.state, to) not in MOVES:
        raise ValueError(f"no move from {seen.state} to {to}")
    queued: dict[str, Any] = {"queued_at": None, "queue_reason": None, "queue_rank": store.ORDINARY}
    if to == "queued":
        queued = {"queued_at": store.now(db), "queue_reason": reason, "queue_rank": rank}
    if not store.move(db, seen.id, seen.epoch, state=to, owner_id=owner_id, **queued):
        raise NotYours(owner_name(db, store.lock(db, seen.id)))
    moved = store.lock(db, seen.id)
    store.add_episode(db, moved, reason)
    outbox.follow_move(db, moved)
    facts.record(
        db,
        "conversation.moved",
        actor=actor,
        conversation_id=seen.id,
        was=seen.state,
        to=to,
        epoch=moved.epoch,
        reason=reason,
        owner=owner_id,
    )
    return moved


def tell_position(db: Connection, waiting: Conversation, occasion: str, before: Sequence[Reply] = ()) -> None:
    """A courtesy with the place in the queue; `occasion` keeps one event from telling it twice."""
    ahead = store.position(db, waiting) - 1
    place = reply("queue.position", ahead=ahead) if ahead else reply("queue.next")
    told = in_one_bubble([*before, place])
    outbox.courtesy(
        db,
        waiting,
        f"position:{occasion}",
        "position",
        told["key"],
        args=told["args"],
        buttons=[{"payload": "stop_waiting", "key": "button.stop_waiting"}],
    )


def promise_callback(db: Connection, conversation: Conversation, occasion: str, due: datetime, text_key: str) -> None:
    """Stores the call-back promise, unless one that can still be kept is open, and the notice that tells it."""
    clock = store.now(db)
    standing = [p for p in complaint_store.open_promises(db, "callback", conversation.id) if p.due_at > clock]
    if standing:
        due = standing[0].due_at
    else:
        complaint_store.promised(db, conversation.id, "callback", due)
        facts.record(db, "promise.made", conversation_id=conversation.id, promise="callback")
    outbox.notice(db, conversation, f"callback:{occasion}", "callback", text_key, args={"due_at": due.isoformat()})


def _may_claim(seen: Conversation, user: User) -> bool:
    """Only those who lead take a conversation from a colleague; nobody claims what is theirs already."""
    if seen.state != "agent":
        return True
    return seen.owner_id != user.id and user.role in LEADING


@dataclass(frozen=True)
class Claimed:
    """A claim that stands. `uncertain` messages of the bot may still have reached the customer."""

    epoch: int
    uncertain: int


class Ownership:
    """What agents do with a conversation. Everything raises NotYours when it has moved meanwhile."""

    def __init__(self, database: Database, bell: Bell, faults: Faults) -> None:
        self._database = database
        self._bell = bell
        self._faults = faults

    def _locked(self, db: Connection, conversation_id: int) -> Conversation:
        try:
            return store.lock(db, conversation_id)
        except NoResultFound:
            raise LookupError(f"no conversation {conversation_id}") from None

    def claim(self, conversation_id: int, seen_epoch: int, user: User) -> Claimed:
        """Takes the conversation; returns only when no message of the bot can still be on its way.

        The new epoch is committed first, so that no send can start; then a send in flight is waited for, at
        most CLAIM_PATIENCE seconds, and counted as uncertain after that.
        """
        with self._database.write() as db:
            seen = self._locked(db, conversation_id)
            if seen.epoch != seen_epoch or not _may_claim(seen, user):
                raise NotYours(owner_name(db, seen))
            moved = move(db, seen, "agent", "claim", actor=f"user:{user.id}", owner_id=user.id)
            user_store.log(db, user.id, "conversation.claim", {"conversation": conversation_id})
            flying = {row.id for row in outbox.in_flight(db, conversation_id)}
        self._faults.at(Moment.CLAIM_AFTER_COMMIT)
        self._announce()
        return Claimed(moved.epoch, self._wait_for_sends(conversation_id, flying) if flying else 0)

    def _wait_for_sends(self, conversation_id: int, flying: Set[int]) -> int:
        """How many of these outbox rows may still arrive: our patience ended, or their sender's did, or it died."""
        deadline = time.monotonic() + CLAIM_PATIENCE
        while self._in_flight(conversation_id) and time.monotonic() < deadline:
            time.sleep(_LOOK_AGAIN)
        with self._database.write() as db:
            store.lock(db, conversation_id)
            for row in outbox.in_flight(db, conversation_id):
                outbox.uncertain(db, row, "claimed while being sent")
            return len(flying & {row.id for row in outbox_store.in_state(db, conversation_id, "uncertain")})

    def _in_flight(self, conversation_id: int) -> bool:
        with self._database.read() as db:
            return bool(outbox.in_flight(db, conversation_id))

    def _mine(self, db: Connection, conversation_id: int, user: User, seen_epoch: int | None = None) -> Conversation:
        found = self._locked(db, conversation_id)
        if found.state != "agent" or found.owner_id != user.id:
            raise NotYours(owner_name(db, found))
        if seen_epoch is not None and found.epoch != seen_epoch:
            raise NotYours(owner_name(db, found))
        return found

    def reply(self, conversation_id: int, user: User, client_id: str, text: str, seen_sequence: int) -> bool:
        """Writes an agent's message and takes the customer's rows up to `seen_sequence`.

        False when this `client_id` was here before: the message exists already, once.
        """
        with self._database.write() as db:
            mine = self._mine(db, conversation_id, user)
            written = outbox.agent(db, mine, user.id, client_id, text)
            if written:
                complaint_store.kept(db, conversation_id, "callback")
                self._take(db, conversation_id, user, seen_sequence)
        self._announce()
        return written

    def _take(self, db: Connection, conversation_id: int, user: User, up_to: int) -> None:
        taken = inbox_store.take_for_person(db, conversation_id, up_to, user.id, store.now(db))
        if taken:
            facts.record(
                db,
                "message.taken",
                actor=f"user:{user.id}",
                conversation_id=conversation_id,
                count=taken,
                up_to=up_to,
            )

    def release(self, conversation_id: int, user: User, seen_epoch: int, seen_sequence: int) -> None:
        """Gives the conversation back to the bot, which repeats its open question.

        Customer rows after `seen_sequence` are the bot's next turn.
        """
        with self._database.write() as db:
            mine = self._mine(db, conversation_id, user, seen_epoch)
            self._take(db, conversation_id, user, seen_sequence)
            moved = move(db, mine, "bot", "release", actor=f"user:{user.id}")
            outbox.notice(db, moved, f"released:{moved.id}:{moved.epoch}", "handoff", "handoff.released")
            outbox.repeat_question(db, moved, f"released:{moved.id}:{moved.epoch}")
            leases.wake(db, moved.id)
        self._announce()

    def close(self, conversation_id: int, user: User, seen_epoch: int, seen_sequence: int) -> None:
        """Ends the conversation. Raises Newer when the customer has written after `seen_sequence`."""
        with self._database.write() as db:
            mine = self._mine(db, conversation_id, user, seen_epoch)
            if any(row.sequence > seen_sequence for row in inbox_store.open_rows(db, conversation_id)):
                raise Newer("the customer has written meanwhile")
            self._take(db, conversation_id, user, seen_sequence)
            moved = move(db, mine, "closed", "closed by agent", actor=f"user:{user.id}")
            outbox.notice(db, moved, f"closed:{moved.id}:{moved.epoch}", "handoff", "handoff.closed")
        self._announce()

    def send_held(self, conversation_id: int, user: User) -> int:
        """Sends the notices that waited while the agent answered; gives how many."""
        with self._database.write() as db:
            mine = self._mine(db, conversation_id, user)
            count = outbox.send_held(db, mine, user.id)
        self._announce()
        return count

    def _announce(self) -> None:
        for topic in ("work", "send", "live"):
            self._bell.ring(topic)
