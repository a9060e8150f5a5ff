"""What may go out, and when: writing rows, following moves, and the fate of each row.

pending -> sending -> sent | retry | uncertain | dead;  pending | retry -> superseded | held -> pending
"""

import random
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from bot import facts
from bot.store import conversations, leases
from bot.store import outbox as store
from bot.store.conversations import Conversation
from bot.store.outbox import OutboxRow

TURN, NOTICE, COURTESY, AGENT = "turn", "notice", "courtesy", "agent"

# DESIGN section 6: class x state of the conversation at the instant of sending.
FATE: Mapping[tuple[str, str], str] = {
    (TURN, "bot"): "sent",
    (TURN, "queued"): "superseded",
    (TURN, "agent"): "superseded",
    (TURN, "closed"): "superseded",
    (NOTICE, "bot"): "sent",
    (NOTICE, "queued"): "sent",
    (NOTICE, "agent"): "held",
    (NOTICE, "closed"): "sent",
    (COURTESY, "bot"): "sent",
    (COURTESY, "queued"): "sent",
    (COURTESY, "agent"): "superseded",
    (COURTESY, "closed"): "sent",
    (AGENT, "bot"): "sent",
    (AGENT, "queued"): "sent",
    (AGENT, "agent"): "sent",
    (AGENT, "closed"): "sent",
}

RELEASED_BY_AGENT = "sent by agent"  # a notice that an agent let go while answering
_WITH_THE_NEXT = "before the next"
GIVE_UP_AFTER = timedelta(hours=24)
_LONGEST_PAUSE = 600.0  # seconds


def fate(row: OutboxRow, conversation: Conversation) -> str:
    """sent, superseded or held: what becomes of this row if it is looked at now."""
    if row.class_ == TURN and row.epoch != conversation.epoch:
        return "superseded"
    if row.class_ == NOTICE and row.reason == RELEASED_BY_AGENT and row.epoch == conversation.epoch:
        return "sent"  # that agent's word ends with that agent's stretch
    return FATE[row.class_, conversation.state]


def _write(db: Connection, conversation: Conversation, class_: str, key: str, **values: Any) -> int | None:
    row_id = store.add(db, conversation_id=conversation.id, class_=class_, key=key, epoch=conversation.epoch, **values)
    if row_id is not None:
        leases.wake_sender(db, conversation.id)
        facts.record(
            db,
            "outbox.written",
            conversation_id=conversation.id,
            outbox=row_id,
            class_=class_,
            epoch=conversation.epoch,
        )
    return row_id


def notice(
    db: Connection,
    conversation: Conversation,
    key: str,
    topic: str,
    text_key: str,
    *,
    args: Mapping[str, Any] | None = None,
    buttons: Sequence[Mapping[str, Any]] = (),
    part: int = 0,
) -> int | None:
    """Something that is never dropped: receipt, status change, promise. None when it is written already."""
    return _write(
        db,
        conversation,
        NOTICE,
        f"notice:{key}",
        topic=topic,
        text_key=text_key,
        args=dict(args or {}),
        buttons=list(buttons),
        part=part,
    )


def courtesy(
    db: Connection,
    conversation: Conversation,
    key: str,
    topic: str,
    text_key: str,
    *,
    args: Mapping[str, Any] | None = None,
    buttons: Sequence[Mapping[str, Any]] = (),
) -> int | None:
    """Something nice to know: the newest of a topic replaces the older ones that are still waiting."""
    row_id = _write(
        db,
        conversation,
        COURTESY,
        f"courtesy:{key}",
        topic=topic,
        text_key=text_key,
        args=dict(args or {}),
        buttons=list(buttons),
    )
    if row_id is not None:
        store.supersede_topic(db, conversation.id, topic, row_id)
    return row_id


def agent_key(conversation_id: int, user_id: int, client_id: str) -> str:
    return f"agent:{user_id}:{conversation_id}:{client_id}"


def agent(db: Connection, conversation: Conversation, user_id: int, client_id: str, text: str) -> bool:
    """An agent's own words; False when this client id is here already."""
    key = agent_key(conversation.id, user_id, client_id)
    row_id = _write(db, conversation, AGENT, key, author_id=user_id, text=text)
    return row_id is not None


def turn_reply(db: Connection, conversation: Conversation, turn_id: int, part: int, reply: Mapping[str, Any]) -> None:
    """One reply of the dialogue. `reply` has key, args, question, buttons, as Rasa gave them."""
    _write(
        db,
        conversation,
        TURN,
        f"turn:{turn_id}",
        part=part,
        turn_id=turn_id,
        text_key=reply["key"],
        args=dict(reply.get("args") or {}),
        buttons=list(reply.get("buttons") or ()),
        question=reply.get("open_id") or "",
    )


def repeat_question(db: Connection, conversation: Conversation, occasion: str) -> None:
    """Says the open question once more, with the same buttons; nothing when none is open."""
    asked = conversation.question
    if not asked:
        return
    _write(
        db,
        conversation,
        TURN,
        f"again:{occasion}",
        text_key=asked["key"],
        args=dict(asked.get("args") or {}),
        buttons=list(asked.get("buttons") or ()),
        question=asked["open_id"],
    )


def follow_move(db: Connection, moved: Conversation) -> None:
    """After a move: what may not go any more is settled at once, what waited for it goes."""
    store.settle_waiting(db, moved.id, (TURN,), state="superseded", reason="moved")
    if moved.state == "agent":
        store.settle_waiting(db, moved.id, (COURTESY,), state="superseded", reason="agent")
        store.settle_waiting(db, moved.id, (NOTICE,), state="held", reason="agent")
    elif store.release_held(db, moved.id, "agent"):
        leases.wake_sender(db, moved.id)


def send_held(db: Connection, conversation: Conversation, user_id: int) -> int:
    """Lets held notices go although an agent answers; gives how many."""
    held = [row for row in store.in_state(db, conversation.id, "held") if row.reason == "agent"]
    for row in held:
        store.settle(
            db,
            row.id,
            "held",
            state="pending",
            reason=RELEASED_BY_AGENT,
            epoch=conversation.epoch,
            due_at=conversations.now(db),
        )
    if held:
        leases.wake_sender(db, conversation.id)
        facts.record(db, "notice.released", actor=f"user:{user_id}", conversation_id=conversation.id, count=len(held))
    return len(held)


def in_flight(db: Connection, conversation_id: int) -> list[OutboxRow]:
    """Messages of the bot that have left us, or are about to, without the platform's word."""
    return [row for row in store.in_state(db, conversation_id, "sending") if row.class_ != AGENT]


def uncertain(db: Connection, row: OutboxRow, reason: str) -> None:
    """It may have arrived: never sent again by itself. A receipt is repeated before the next message."""
    if not store.settle(db, row.id, "sending", state="uncertain", reason=reason[:64], stopped_at=conversations.now(db)):
        return
    facts.record(db, "outbox.uncertain", conversation_id=row.conversation_id, outbox=row.id, class_=row.class_)
    if row.topic == "receipt":
        _repeat_later(db, row)


def _repeat_later(db: Connection, row: OutboxRow) -> None:
    held = {"state": "held", "reason": _WITH_THE_NEXT}
    made = store.add(
        db,
        conversation_id=row.conversation_id,
        class_=NOTICE,
        key=_repeat_key(row),
        topic="receipt_repeat",
        epoch=row.epoch,
        text_key="receipt.repeat",
        args={name: row.args[name] for name in ("reference", "code", "due_at")},
        **held,
    )
    dropped = store.by_key(db, _repeat_key(row)) if made is None else None
    if dropped is not None:  # a person had sent the receipt again, and it is in doubt again
        store.settle(db, dropped.id, "superseded", **held)


def _repeat_key(row: OutboxRow) -> str:
    return f"{row.key}:repeat"


def drop_repeat(db: Connection, outbox_id: int) -> None:
    """An uncertain receipt needs no repeat: it is sent again itself, or known to have arrived."""
    row = store.read(db, outbox_id)
    repeat = store.by_key(db, _repeat_key(row)) if row is not None else None
    if repeat is not None:
        store.settle(db, repeat.id, "held", state="superseded", reason="newer")


def repeats_first(db: Connection, conversation_id: int, waiting: list[OutboxRow]) -> list[OutboxRow]:
    """The waiting rows, with uncertain receipts' repeats let go and put in front."""
    if waiting and store.release_held(db, conversation_id, _WITH_THE_NEXT):
        waiting = store.waiting(db, conversation_id)
    return in_order(waiting)


def in_order(waiting: list[OutboxRow]) -> list[OutboxRow]:
    """As they go: a repeated receipt first, then the oldest."""
    return sorted(waiting, key=lambda row: (row.topic != "receipt_repeat", row.id))


def pause_before_retry(attempts: int) -> float:
    """Seconds: 1, 2, 4 … at most ten minutes."""
    return float(min(2.0 ** min(attempts, 16) / 2, _LONGEST_PAUSE))


def after_throttling(retry_after: float) -> float:
    """Seconds: never earlier than asked, and not all at the same instant."""
    return retry_after + random.uniform(0.0, max(1.0, retry_after / 2))  # noqa: S311 - jitter
