"""H3, H4, H5, and a wish while a turn hangs: who takes each message, on both databases."""

import threading
from collections import Counter
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


class Desk:
    """One customer who goes on writing, a bot at work, and an agent who comes and goes."""

    def __init__(self, hands: Hands, agent: User) -> None:
        self.hands, self.product, self.agent = hands, hands.product, agent
        self.stop = threading.Event()
        self.did: Counter[str] = Counter()
        self.written = 0
        self.where = self.write()
        self.threads = [threading.Thread(target=self._work), threading.Thread(target=self._go_on_writing)]
        for thread in self.threads:
            thread.start()

    def write(self) -> int:
        self.written += 1
        accepted = self.product.inbox.accept(chat(self.product), text("ann", f"word {self.written}"))
        assert accepted.conversation_id is not None
        return accepted.conversation_id

    def _go_on_writing(self) -> None:
        for _ in range(120):
            self.write()
            self.stop.wait(0.005)

    def _work(self) -> None:
        while not self.stop.is_set():
            if not self.hands.turns.work_once() and not self.hands.sender.send_once():
                self.stop.wait(0.005)

    def writing(self) -> bool:
        return self.threads[1].is_alive()

    def _look(self) -> conversations.Conversation:
        with self.product.database.read() as db:
            found = conversations.read(db, self.where)
        assert found is not None
        return found

    def serve(self, number: int) -> None:
        """Claims, replies and leaves, all by the page as it was before the claim."""
        seen, owner = self._look(), self.product.ownership
        last = seen.next_sequence - 1
        try:
            epoch = owner.claim(self.where, seen.epoch, self.agent).epoch
        except NotYours:
            self.did["claim refused"] += 1
            return
        assert owner.reply(self.where, self.agent, f"c{number}", "agent here", last)
        self.did["reply"] += 1
        if number % 2:
            try:
                owner.close(self.where, self.agent, epoch, last)
                self.did["close"] += 1
                return
            except Newer:
                self.did["close refused"] += 1
        owner.release(self.where, self.agent, epoch, last)
        self.did["release"] += 1

    def close(self) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(60)


def test_each_message_has_one_taker_while_agents_come_and_go(hands: Hands, agent: User) -> None:
    """H3: reply, release and close against a customer who goes on writing."""
    desk = Desk(hands, agent)
    number = 0
    while desk.writing():
        desk.serve(number := number + 1)
    desk.close()
    desk.write()
    hands.work()
    books = read_books(hands.product.database)
    assert desk.did["reply"] and desk.did["release"], desk.did
    assert {row["disposition"] for row in books.inbox} == {"turn", "person"}
    done = [turn for turn in books.turn if turn["state"] == "done"]
    for row in books.inbox:
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
