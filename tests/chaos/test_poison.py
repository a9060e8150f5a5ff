"""Messages that kill their worker, again and again: each is dead after its attempts, and everybody else is served."""

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from bot import outbox
from bot.build import Product
from bot.cli.worker import HUNG
from bot.letters import Letters
from bot.message import Attachment, Incoming, Kind
from bot.store import complaints, conversations, inbox
from bot.store import outbox as outbox_store
from bot.store.conversations import Conversation
from bot.store.letters import Letter, Which
from tests.chaos import poisoned
from tests.talking import chat, text

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

PATIENCE = 60.0  # seconds; only ends a run that would never end
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.chaos.poisoned"])


class Supervised:
    """A worker that is started again whenever it has died; `exits` has how."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.exits: Counter[int] = Counter()
        self._environ = environ
        self._process = self._start()

    def _start(self) -> multiprocessing.context.ForkServerProcess:
        process = _processes.Process(target=poisoned.work, args=(self._environ,))
        process.start()
        return process

    def until(self, done: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + PATIENCE
        while not done():
            if time.monotonic() > deadline:
                return False
            self._process.join(0.2)
            if self._process.exitcode is not None:
                self.exits[self._process.exitcode] += 1
                self._process = self._start()
        return True

    def stop(self) -> None:
        self._process.kill()
        self._process.join()


@pytest.fixture
def supervised(product: Product, environ: dict[str, str]) -> Iterator[Supervised]:
    started = Supervised(environ)
    yield started
    started.stop()


def of(product: Product, who: str) -> Conversation:
    with product.database.read() as db:
        found = conversations.of_sender(db, chat(product).id, who)
        found = found or conversations.of_sender(db, product.accounts["screen", "main"].id, who)
    assert found is not None
    return found


def heard(product: Product, who: str) -> list[str]:
    with product.database.read() as db:
        return [row.text for row in outbox_store.history(db, of(product, who).id) if row.state == "sent"]


def say(product: Product, who: str, words: str) -> None:
    product.inbox.accept(chat(product), text(who, words))


def poison(product: Product) -> None:
    """One conversation for each way to kill a worker; all but the draft's begin with it."""
    say(product, "exit", poisoned.EXIT)
    say(product, "loop", poisoned.LOOP)
    say(product, "deep", poisoned.DEEP)
    say(product, "ticket", poisoned.TICKET)
    screen = product.accounts["screen", "main"]
    photo = Incoming("p1", Kind.MEDIA, sender="file", text="一张图", attachments=(Attachment("photo", "x"),))
    product.inbox.accept(screen, photo)
    product.inbox.accept(screen, Incoming("o1", Kind.OTHER, sender="send"))
    with product.database.write() as db:
        current = conversations.lock(db, of(product, "send").id)
        for key, words in (("1", poisoned.SEND), ("2", "after it")):
            outbox_store.add(db, conversation_id=current.id, class_=outbox.NOTICE, key=key, epoch=1, text=words)
        conversations.change(db, current.id, send_at=conversations.now(db))


def draft(product: Product, supervised: Supervised) -> None:
    """`exit` and `ticket` have told what happened; `ticket` files it."""
    say(product, "exit", "家里宽带断了两天")
    assert supervised.until(lambda: len(heard(product, "exit")) == 1)


def letters(product: Product) -> dict[tuple[str, str], Letter]:
    found = Letters(product.database, product.bell).find(Which())
    return {(letter.kind, letter.reason): letter for letter in found if letter.kind != "turn"} | {
        ("turn", who): letter
        for letter in found
        if letter.kind == "turn"
        for who in ("exit", "loop", "deep")
        if of(product, who).id == letter.conversation_id
    }


WANTED = {
    *(("turn", who) for who in ("exit", "loop", "deep")),
    ("message", "killed its sender"),
    ("file", "gone"),
    ("ticket", "killed its worker"),
}


def test_what_kills_its_worker_is_dead_and_everybody_else_is_served(product: Product, supervised: Supervised) -> None:
    began = time.monotonic()
    draft(product, supervised)
    poison(product)
    others = [f"other-{n}" for n in range(5)]
    for who in others:
        say(product, who, "宽带断了")
    file_a_ticket(product, supervised)
    assert supervised.until(lambda: letters(product).keys() >= WANTED), (letters(product), supervised.exits)
    assert supervised.until(lambda: all(len(heard(product, who)) == 1 for who in others))
    found = letters(product)
    print(f"\n  exits {dict(supervised.exits)}; {time.monotonic() - began:.0f} s; attempts", end=" ")
    print({f"{kind} {what}": letter.attempts for (kind, what), letter in found.items()})
    assert found.keys() == WANTED, "somebody else's went with them"
    assert {of(product, who).state for who in ("exit", "loop", "deep")} == {"queued"}
    assert {of(product, who).state for who in others} == {"bot"}
    assert found["turn", "exit"].attempts == 5 and found["turn", "loop"].attempts == 5
    assert supervised.exits[poisoned.KILLED] >= 5 and supervised.exits.keys() <= {poisoned.KILLED, HUNG}
    with product.database.read() as db:
        (filed,) = complaints.of_conversation(db, of(product, "exit").id)
        assert filed.complete == 0, "what was told before the turn died is filed"
        assert [row.text for row in inbox.open_rows(db, of(product, "exit").id)] == [poisoned.EXIT]
    assert "after it" in heard(product, "send")


def file_a_ticket(product: Product, supervised: Supervised) -> None:
    assert supervised.until(lambda: len(heard(product, "ticket")) == 1)
    say(product, "ticket", "13800138000")
    assert supervised.until(lambda: len(heard(product, "ticket")) == 2)
    with product.database.read() as db:
        asked = outbox_store.history(db, of(product, "ticket").id)[-1]
    product.inbox.accept(chat(product), text("ticket", "", "t1", Kind.TAP, f"{asked.id}.0"))


def test_a_worker_in_which_nothing_runs_any_more_ends_itself() -> None:
    process = _processes.Process(target=poisoned.freeze)
    process.start()
    process.join(30)
    ended = process.exitcode
    process.kill()
    process.join()
    assert ended == 1
