"""H3, H4, H5, and a wish while a turn hangs: who takes each message, on both databases."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from argon2 import PasswordHasher

from bot import users
from bot.build import Product
from bot.dialogue import Question, Said, Script
from bot.errors import Newer, NotYours
from bot.store import complaints, conversations, inbox, outbox
from bot.store.users import User
from bot.transcript import transcript
from console import create_app
from tests.chaos.ledgers import read_books
from tests.console.seats import Seat
from tests.talking import Hands, chat, complaint_talk, reply, text

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "_HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
def hands(product: Product, script: Script) -> Hands:
    script.answer = complaint_talk
    return Hands(product)


@pytest.fixture
def agent(product: Product) -> User:
    return product.people.add("lin", "agent", "a long enough password")


def test_a_wish_is_heard_while_a_turn_hangs(hands: Hands, script: Script, agent: User) -> None:
    product = hands.product
    asked, answer = threading.Event(), threading.Event()

    def hang(question: Question) -> Said:
        asked.set()
        assert answer.wait(60)
        return Said([reply("system.photo_alone")], [{"name": "file_complaint", "args": {}}], {"slots": {"what": "x"}})

    script.answer = hang
    product.inbox.accept(chat(product), text("ann", "宽带断了"))
    working = threading.Thread(target=hands.turns.work_once)
    working.start()
    try:
        assert asked.wait(60)
        assert product.inbox.accept(chat(product), text("ann", "转人工")).disposition == "wish"
        queued = hands.conversation("ann")
        assert queued.state == "queued", "at once: the turn still hangs"
        hands.sender.send_once()
        assert [row.topic for row in hands.rows("ann") if row.state == "sent"] == ["position"]
        claimed = product.ownership.claim(queued.id, queued.epoch, agent)
        assert claimed.uncertain == 0
    finally:
        answer.set()
        working.join(60)
    hands.work()
    with product.database.read() as db:
        assert [row.text for row in inbox.open_rows(db, queued.id)] == ["宽带断了"]
        lines = [line.text for line in transcript(db, product.texts, queued.id) if line.side == "customer"]
        assert complaints.of_identity(db, queued.identity_id) == []
        after = conversations.read(db, queued.id)
    assert lines == ["宽带断了", "转人工"]
    assert after is not None and after.dialogue == {}, "the hung turn's state is discarded, too"
    assert [row.topic for row in hands.rows("ann")] == ["position"]


class Shift:
    """An agent who claims, replies and lets go, again and again, while the customer writes on."""

    def __init__(self, product: Product, agent: User, where: int) -> None:
        self.product = product
        self.agent = agent
        self.where = where
        self.did = dict.fromkeys(("claim", "reply", "release", "close", "refused"), 0)

    def look(self) -> conversations.Conversation:
        with self.product.database.read() as db:
            found = conversations.read(db, self.where)
        assert found is not None
        return found

    def serve(self, number: int) -> None:
        """Once; every second time the end is a close, which a newer message refuses: then it is a release."""
        seen, ownership = self.look(), self.product.ownership
        last = seen.next_sequence - 1
        leave = ("close", ownership.close) if number % 2 else ("release", ownership.release)
        try:
            self._done("claim", ownership.claim(self.where, seen.epoch, self.agent))
            self._done("reply", ownership.reply(self.where, self.agent, f"c{number}", "agent here", last))
            self._done(leave[0], leave[1](self.where, self.agent, self.look().epoch, last))
        except Newer:
            self.did["refused"] += 1
            ownership.release(self.where, self.agent, self.look().epoch, last)
        except NotYours:
            self.did["refused"] += 1

    def _done(self, name: str, _outcome: object) -> None:
        self.did[name] += 1

    def serve_while(self, writer: threading.Thread) -> None:
        number = 0
        while writer.is_alive():
            self.serve(number := number + 1)


def test_each_message_has_one_taker_while_agents_come_and_go(hands: Hands, agent: User) -> None:
    """H3: reply, release and close against a customer who goes on writing."""
    product, stop = hands.product, threading.Event()
    where = product.inbox.accept(chat(product), text("ann", "word 0")).conversation_id
    assert where is not None
    shift = Shift(product, agent, where)

    def writes() -> None:
        for number in range(1, 120):
            product.inbox.accept(chat(product), text("ann", f"word {number}"))
            stop.wait(0.005)

    def works() -> None:
        while not stop.is_set():
            if not hands.turns.work_once() and not hands.sender.send_once():
                stop.wait(0.005)

    threads = [threading.Thread(target=works), threading.Thread(target=writes)]
    for thread in threads:
        thread.start()
    shift.serve_while(threads[1])
    stop.set()
    for thread in threads:
        thread.join(60)
    product.inbox.accept(chat(product), text("ann", "the last word"))
    hands.work()
    assert shift.did["reply"] and shift.did["release"] and shift.did["claim"], shift.did
    _check_takers(product)


def _check_takers(product: Product) -> None:
    rows = read_books(product.database)
    assert {row["disposition"] for row in rows.inbox} == {"turn", "person"}
    done = [turn for turn in rows.turn if turn["state"] == "done"]
    for row in rows.inbox:
        by = [turn["id"] for turn in done if turn["first_sequence"] <= row["sequence"] <= turn["last_sequence"]]
        assert by == ([row["turn_id"]] if row["disposition"] == "turn" else []), f"{row['text']} was answered by {by}"


def test_an_agent_whose_browser_died_keeps_the_conversation(product: Product, hands: Hands) -> None:
    """H4: no page is open any more; the bot stays silent until somebody releases."""
    app = create_app(product)
    app.testing = True
    seat = Seat(app, "lin")
    hands.say("ann", "宽带断了")
    hands.say("ann", "人工")
    where = hands.conversation("ann")
    assert seat.act(where.id, "claim").status_code == 303
    del seat
    before = hands.heard("ann")
    for number in range(10):
        hands.say("ann", f"are you there {number}")
        product.waiting().end_hopeless_waits()
        hands.work()
    assert hands.conversation("ann").state == "agent" and hands.heard("ann") == before
    with product.database.read() as db:
        assert len(inbox.open_rows(db, where.id)) == 10, "all of it waits for a person"


def test_a_form_that_is_sent_twice_is_one_message(product: Product, hands: Hands) -> None:
    """H5: the same client id, at the same moment and later."""
    app = create_app(product)
    app.testing = True
    seats = [Seat(app, "lin"), Seat(app, "lin")]
    hands.say("ann", "人工")
    where = hands.conversation("ann").id
    assert seats[0].act(where, "claim").status_code == 303
    for number in range(10):
        gate = threading.Barrier(2)

        def press(seat: Seat, number: int = number, gate: threading.Barrier = gate) -> int:
            gate.wait(30)
            fields: dict[str, Any] = {"client_id": f"client-{number:04}", "text": f"hello {number}", "seen_sequence": 1}
            return seat.press(f"/conversations/{where}/reply", **fields).status_code

        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(press, seats)) == [303, 303]
        assert (
            seats[1]
            .press(
                f"/conversations/{where}/reply",
                client_id=f"client-{number:04}",
                text=f"hello {number}",
                seen_sequence=1,
            )
            .status_code
            == 303
        )
    with product.database.read() as db:
        said = [row.text for row in outbox.history(db, where) if row.class_ == "agent"]
    assert said == [f"hello {number}" for number in range(10)]
