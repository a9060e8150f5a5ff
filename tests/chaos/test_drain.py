"""A backlog drains in order, with flat memory, and whoever writes meanwhile has a turn too (catalogue L1)."""

import re
import time
from collections import Counter
from pathlib import Path

import pytest

from bot.build import Product
from bot.dialogue import Question, Said, Script
from bot.store import figures
from tests.talking import Hands, chat, text

pytestmark = pytest.mark.chaos

MB = 1024 * 1024
ROOM = 50 * MB  # by which memory may grow from the first tenth of the drain to its end
EACH = 10  # messages of one customer
NEWCOMER = "c-new"


def memory() -> int:
    """Resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


class Reader:
    """Answers in Rasa's place and checks that each customer's messages come in order, each once."""

    def __init__(self) -> None:
        self.last: Counter[str] = Counter()
        self.questions = 0
        self.wrong: list[str] = []
        self.newcomer_after = 0

    def __call__(self, question: Question) -> Said:
        self.questions += 1
        for name, number in re.findall(r"(c-\w+) m(\d+)", question.text or ""):
            if int(number) != self.last[name] + 1:
                self.wrong.append(f"{name}: {number} after {self.last[name]}")
            self.last[name] = int(number)
            if name == NEWCOMER:
                self.newcomer_after = self.questions
        return Said([{"key": "system.one_moment", "args": {}, "buttons": []}], [], {})


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "count", [pytest.param(3_000, id="short"), pytest.param(50_000, id="full", marks=pytest.mark.chaos_long)]
)
def test_a_backlog_drains_in_order_and_in_flat_memory(product: Product, script: Script, count: int) -> None:
    reader, customers = Reader(), count // EACH
    _queue(product, customers)
    object.__setattr__(product, "dialogue", _Forgetful(reader))
    hands, began = Hands(product), time.monotonic()
    early = late = joined = 0
    while _step(hands):
        if reader.questions == customers // 10 and not early:
            early = memory()
        if reader.questions == customers // 2 and not joined:
            joined = reader.questions
            product.inbox.accept(chat(product), text(NEWCOMER, f"{NEWCOMER} m1"))
        if early and reader.questions % 50 == 0:
            late = max(late, memory())
    with product.database.read() as db:
        left = sum(figures.open_messages(db).values())
    alone = _accept_alone(product)
    print(
        f"{count} messages in {reader.questions} turns, memory {(late - early) / MB:+.1f} MB; "
        f"a message drained ÷ accepted: {(time.monotonic() - began) / count / alone:.1f}"
    )
    assert left == 0 and reader.wrong == []
    assert [reader.last[f"c-{n}"] for n in range(customers)] == [EACH] * customers, "a message was lost"
    assert 0 < reader.newcomer_after - joined <= customers, "the newcomer had to wait for more than were there before"
    assert late - early < ROOM


class _Forgetful(Script):
    """Keeps nothing of what it was asked: the test is about memory."""

    def turn(self, question: Question) -> Said:
        return self.answer(question)


def _queue(product: Product, customers: int) -> None:
    """Round by round, so that every customer's messages lie among all the others'."""
    for number in range(1, EACH + 1):
        for customer in range(customers):
            product.inbox.accept(chat(product), text(f"c-{customer}", f"c-{customer} m{number}"))


def _step(hands: Hands) -> bool:
    worked = hands.turns.work_once()
    return hands.sender.send_once() or worked


def _accept_alone(product: Product) -> float:
    began = time.monotonic()
    for number in range(50):
        product.inbox.accept(chat(product), text(f"alone-{number}", "hello"))
    return (time.monotonic() - began) / 50
