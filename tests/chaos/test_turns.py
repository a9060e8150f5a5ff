"""Four workers on the same conversations: one turn at a time, each once, and none for a stretch that is over."""

import random
import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import func, select

from bot.build import Product
from bot.dialogue import Question, Said, Script
from bot.store.complaints import complaint
from bot.store.inbox import inbox
from bot.store.outbox import outbox
from tests.talking import Hands, chat, complaint_talk, reply, text

pytestmark = pytest.mark.chaos

CONVERSATIONS, MESSAGES, WORKERS = 6, 10, 4


class Chain:
    """A dialogue whose state is the list of everything it was told; it notes turns that meet."""

    def __init__(self) -> None:
        self.met: list[str] = []
        self._busy: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, question: Question) -> Said:
        words = question.text or ""
        customer = words.partition(" ")[0]
        with self._lock:
            if customer in self._busy:
                self.met.append(words)
            self._busy.add(customer)
        time.sleep(random.uniform(0.0, 0.02))
        with self._lock:
            self._busy.discard(customer)
        told = [*question.state.get("slots", {}).get("told", []), words]
        return Said([reply("system.one_moment")], [], {"slots": {"told": told}})


def work(product: Product, done: threading.Event) -> None:
    hands = Hands(product)
    while not done.is_set():
        if not (hands.turns.work_once() | hands.sender.send_once()):
            time.sleep(0.01)


def told(product: Product, customer: str) -> list[str]:
    slots: Mapping[str, Any] = Hands(product).conversation(customer).dialogue.get("slots", {})
    return list(slots.get("told", []))


def nobody_waits(product: Product) -> bool:
    with product.database.read() as db:
        waiting = db.scalar(select(func.count()).select_from(inbox).where(inbox.c.disposition == "open"))
        return not waiting


def test_a_conversation_is_answered_by_one_worker_at_a_time(
    product: Product, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bot import turn

    chain = Chain()
    script.answer = chain
    monkeypatch.setattr(turn, "BURST", turn.BURST * 0)
    done = threading.Event()
    workers = [threading.Thread(target=work, args=(product, done)) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    said = {f"customer-{n}": [f"customer-{n} says {m}" for m in range(MESSAGES)] for n in range(CONVERSATIONS)}
    for place in range(MESSAGES):
        for customer, words in said.items():
            product.inbox.accept(chat(product), text(customer, words[place]))
    deadline = time.monotonic() + 60
    while not nobody_waits(product) and time.monotonic() < deadline:
        time.sleep(0.1)
    done.set()
    for worker in workers:
        worker.join()
    assert chain.met == [], "two workers asked about one conversation at the same time"
    # One after the other: the state that the last turn left has been handed through all of them.
    assert {customer: "\n".join(told(product, customer)).split("\n") for customer in said} == said


def test_a_turn_of_an_earlier_epoch_has_no_effect(product: Product, script: Script) -> None:
    """The customer asks for a person while Rasa thinks about "yes, submit": only the handoff files, and nothing is said."""
    hands = Hands(product)

    def interrupted(question: Question) -> Said:
        if question.payload == "affirm":
            product.inbox.accept(chat(product), text("ann", "转人工"))
        return complaint_talk(question)

    script.answer = interrupted
    hands.say("ann", "宽带断了")
    hands.say("ann", "13800138000")
    hands.tap("ann", hands.button("ann", "affirm"))
    assert hands.conversation("ann").state == "queued"
    with product.database.read() as db:
        filed = [tuple(row) for row in db.execute(select(complaint.c.complete, complaint.c.turn_id))]
        assert filed == [(0, None)], (
            "the draft as it was when the person was called, and not what the turn would have filed"
        )
        late = select(outbox.c.key).where(outbox.c.class_ == "turn", outbox.c.epoch > 1)
        assert list(db.execute(late)) == []
        [tap] = db.execute(select(inbox.c.disposition).where(inbox.c.kind == "tap"))
        assert tap.disposition == "open", "the agent sees what was not answered"
