"""Agents for chaos: they take whoever waits, now and then somebody whom the bot is answering, and give them back."""

import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
from sqlalchemy import select

from bot.store import conversations
from bot.store.conversations import conversation
from bot.store.database import Database
from bot.store.turns import turn
from tests.chaos.ledgers import Claim, Driver
from tests.running import Agent

TAKE_OVERS = 8  # conversations that agents take from the bot while it works on a turn
_PATIENCE = 60.0


@dataclass
class Shift:
    """What the agents share: whom somebody serves already, and how many take-overs are left."""

    database: Database
    driver: Driver
    stop: threading.Event = field(default_factory=threading.Event)
    served: set[int] = field(default_factory=set)
    take_overs: int = TAKE_OVERS
    lock: threading.Lock = field(default_factory=threading.Lock)

    def choose(self, rng: random.Random) -> int | None:
        """The conversation that waits longest; else, now and then, one in the middle of a turn."""
        with self.lock, self.database.read() as db:
            waiting = [one.id for one in conversations.queue(db) if one.id not in self.served]
            if not waiting and self.take_overs and rng.random() < 0.15:
                busy = select(turn.c.conversation_id).join(conversation).where(turn.c.state == "open")
                with_bot = busy.where(conversation.c.state == "bot").order_by(turn.c.id)
                waiting = [row[0] for row in db.execute(with_bot) if row[0] not in self.served]
                self.take_overs -= bool(waiting)
            if not waiting:
                return None
            self.served.add(waiting[0])
            return waiting[0]

    def done(self, conversation_id: int) -> None:
        with self.lock:
            self.served.discard(conversation_id)


def work(agent: Agent, shift: Shift, rng: random.Random) -> None:
    """Serves one after the other until the shift ends."""
    while not shift.stop.is_set():
        chosen = shift.choose(rng)
        if chosen is None:
            shift.stop.wait(0.3)
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
