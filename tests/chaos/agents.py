"""Agents for chaos: they take whoever waits, now and then somebody whom the bot is answering, and give them back."""

import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import httpx
from sqlalchemy import Connection, select

from bot.store import conversations
from bot.store.conversations import conversation
from bot.store.database import Database
from bot.store.turns import turn
from tests.chaos.ledgers import Claim, Driver
from tests.running import Agent

TAKE_OVERS = 16  # conversations that agents take from the bot while it works on a turn
BETWEEN_TAKE_OVERS = (1.0, 3.5)  # seconds
FRESH = timedelta(seconds=1.5)  # age of a turn that Rasa has surely not answered yet, and is there to answer
_PATIENCE = 60.0


@dataclass
class Shift:
    """What the agents share: whom somebody serves already, and how many take-overs are left."""

    database: Database
    driver: Driver
    stop: threading.Event = field(default_factory=threading.Event)
    served: set[int] = field(default_factory=set)
    take_overs: int = TAKE_OVERS
    next_take_over: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def choose(self, rng: random.Random) -> int | None:
        """The conversation with the newest turn, now and then; else the one that waits longest."""
        with self.lock, self.database.read() as db:
            found = self._in_a_turn(db, rng) or [one.id for one in conversations.queue(db)]
            free = [one for one in found if one not in self.served]
            if not free:
                return None
            self.served.add(free[0])
            return free[0]

    def _in_a_turn(self, db: Connection, rng: random.Random) -> list[int]:
        if not self.take_overs or time.monotonic() < self.next_take_over:
            return []
        fresh = (
            select(turn.c.conversation_id)
            .join(conversation)
            .where(
                turn.c.state == "open", conversation.c.state == "bot", turn.c.created_at > conversations.now(db) - FRESH
            )
        )
        found = [row[0] for row in db.execute(fresh.order_by(turn.c.id.desc()))]
        if found:
            self.take_overs -= 1
            self.next_take_over = time.monotonic() + rng.uniform(*BETWEEN_TAKE_OVERS)
        return found

    def done(self, conversation_id: int) -> None:
        with self.lock:
            self.served.discard(conversation_id)


def work(agent: Agent, shift: Shift, rng: random.Random) -> None:
    """Serves one after the other until the shift ends."""
    while not shift.stop.is_set():
        chosen = shift.choose(rng)
        if chosen is None:
            shift.stop.wait(0.1)
            continue
        try:
            _serve(agent, shift, rng, chosen)
        finally:
            shift.done(chosen)


def _serve(agent: Agent, shift: Shift, rng: random.Random, conversation_id: int) -> None:
    said = _did(lambda: agent.do(conversation_id, "claim"))
    returned = time.time()
    if "claimed" not in said:
        return  # somebody was faster: the customer, the bot, a colleague
    time.sleep(rng.uniform(0.5, 2.0))
    client_id = uuid.uuid4().hex
    _until(lambda: "sent" in _did(lambda: agent.do(conversation_id, "reply", text="agent here", client_id=client_id)))
    time.sleep(rng.uniform(0.3, 1.5))
    shift.driver.claims.append(Claim(conversation_id, returned, time.time(), clean=said == "claimed"))
    _until(lambda: "released" in _did(lambda: agent.do(conversation_id, "release")))


def _did(act: Callable[[], httpx.Response]) -> str:
    """What the console says was done; empty when nothing was."""
    try:
        return str(act().url.params.get("did", ""))
    except httpx.HTTPError:
        return ""


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not done():
        assert time.monotonic() < deadline, "the console does not do it"
        time.sleep(0.3)
