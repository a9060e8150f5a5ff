"""The ticket desk fails in every way: each complaint still gets one ticket, or goes to a person (T1-T4).

`TINGSU_CHAOS_SEED` repeats the desk's faults.
"""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import select

from bot import desk_pause, ticketing
from bot.build import Product, build
from bot.dialogue import Script
from bot.drafts import Draft
from bot.faults import NONE
from bot.settings import Settings
from bot.store import complaints, conversations, facts, people, turns
from bot.store.desk_pauses import desk_pause as pauses
from bot.store.tickets import ticket
from bot.ticketing import Ticketing
from tests.chaos.desk import AFTER_COMMIT, BEFORE_COMMIT, DEADLINE, DeskServer, HttpDesk
from tests.chaos.wire import serving
from tests.talking import Hands, chat, complaint_talk, tap

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

SEED = int(os.environ.get("TINGSU_CHAOS_SEED") or random.randrange(10**6))
FASTER = 100  # than the product's own pauses
COUNTS = [pytest.param(50, id="short"), pytest.param(500, id="full", marks=pytest.mark.chaos_long)]


@pytest.fixture(autouse=True)
def _pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The product's pauses, a hundred times shorter, like the desk's lag."""
    monkeypatch.setattr(ticketing, "SEARCH_LAG", ticketing.SEARCH_LAG / FASTER)
    monkeypatch.setattr(desk_pause, "FIRST_PAUSE", desk_pause.FIRST_PAUSE / FASTER)
    monkeypatch.setattr(desk_pause, "LONGEST_PAUSE", timedelta(seconds=0.3))
    whole = ticketing._pause
    monkeypatch.setattr(ticketing, "_pause", lambda attempts: min(whole(attempts) / FASTER, timedelta(seconds=0.2)))


class Office:
    """A product whose tickets go to a desk over HTTP."""

    def __init__(self, product: Product, server: DeskServer, desk: Callable[[], HttpDesk]) -> None:
        self.product = product
        self.server = server
        self.hands = Hands(product)
        self._desk = desk

    def file(self, count: int, first: int = 0) -> None:
        """So many customers have complained; nobody has opened a ticket yet."""
        account = chat(self.product)
        with self.product.database.write() as db:
            for number in range(first, first + count):
                someone = people.ensure_identity(db, account.id, f"customer-{number}")
                talk = conversations.ensure(db, someone.id, account.id, "zh")
                received = conversations.now(db)
                turn = turns.fix(
                    db,
                    conversation_id=talk.id,
                    epoch=1,
                    first_sequence=1,
                    last_sequence=1,
                    text="宽带断了",
                    payload=None,
                    attachments=0,
                    language="zh",
                    received_at=received,
                )
                draft = Draft("broadband.disconnection", {"what": "宽带断了"}, 1, 1, received, complete=True)
                self.product.complaints.file(db, talk, draft, turn.id)

    def work(self, threads: int = 1, seconds: float = 240) -> None:
        """Until no ticket is due any more."""
        deadline = time.monotonic() + seconds

        def clerk() -> None:
            desk = self._desk()
            opening = Ticketing(self.product.database, desk, self.product.handoff, self.product.suspects, NONE)
            while self._left() and time.monotonic() < deadline:
                if not opening.open_once():
                    time.sleep(0.01)
            desk.close()

        clerks = [threading.Thread(target=clerk) for _ in range(threads)]
        for one in clerks:
            one.start()
        for one in clerks:
            one.join()
        assert not self._left(), "tickets are still due"

    def _left(self) -> bool:
        with self.product.database.read() as db:
            return db.execute(select(ticket.c.id).where(ticket.c.due_at.is_not(None)).limit(1)).first() is not None

    def states(self) -> Mapping[str, int]:
        with self.product.database.read() as db:
            return Counter(db.scalars(select(ticket.c.state)))

    def facts(self) -> Mapping[str, int]:
        with self.product.database.read() as db:
            return Counter(one.kind for one in facts.after(db, 0, 10**6))

    def figures(self, count: int) -> str:
        fates = Counter(one.fate for one in self.server.ledger)
        opened = len({reference for reference, _ in self.server.opened})
        return (
            f"seed {SEED}: expected {count}, created {opened}, doubled {len(self.server.doubled())}, "
            f"states {dict(self.states())}, calls {len(self.server.ledger)} ({dict(fates)}), "
            f"early retries {self.server.early()}, pauses {self.facts()['desk.silent']}"
        )


@pytest.fixture
def make_office(settings: Settings) -> Iterator[Callable[..., Office]]:
    with ExitStack() as stack:

        def make(
            chances: Mapping[str, float],
            *,
            idempotent: bool,
            lag: tuple[float, float] = (0.0, 0.0),
            deadline: float = DEADLINE,
        ) -> Office:
            server = DeskServer(SEED, chances, idempotent=idempotent, lag=lag)
            url = stack.enter_context(serving(server.answer))
            desk = partial(HttpDesk, url, idempotent=idempotent, deadline=deadline)
            product = build(settings, dialogue=Script(complaint_talk), desk=desk())
            stack.callback(product.close)
            return Office(product, server, desk)

        yield make


@pytest.mark.parametrize("count", COUNTS)
def test_t1_every_fault_at_random(make_office: Callable[..., Office], count: int) -> None:
    """Each fault alone at three calls in ten, then all of them at one in ten each."""
    office = make_office({}, idempotent=True)
    rounds = [*({fault: 0.3} for fault in BEFORE_COMMIT), dict.fromkeys(BEFORE_COMMIT, 0.1)]
    for number, chances in enumerate(rounds):
        office.server.chances = chances
        office.file(count // len(rounds), first=number * count)
        office.work()
    print(office.figures(count))
    assert len(office.server.opened) == count and office.server.doubled() == []
    assert office.server.early() == 0, "the desk asked for a pause"
    assert office.states() == {"open": count}


@pytest.mark.parametrize("count", COUNTS)
def test_t2_committed_and_then_silent(make_office: Callable[..., Office], count: int) -> None:
    office = make_office(dict.fromkeys(AFTER_COMMIT, 0.3), idempotent=False)
    office.file(count)
    office.work()
    print(office.figures(count))
    assert len(office.server.opened) == count and office.server.doubled() == []
    assert office.states() == {"open": count}


@pytest.mark.parametrize("count", COUNTS)
def test_t3_a_search_that_lags_and_no_idempotency(make_office: Callable[..., Office], count: int) -> None:
    """Lags of 2 to 30 s, some longer than one wait. What cannot be known goes to a person, as a fact."""
    chances = {"commit then reset": 0.3, "reset": 0.1, "429": 0.1}
    office = make_office(chances, idempotent=False, lag=(2 / FASTER, 30 / FASTER))
    office.file(count)
    office.work()
    print(office.figures(count))
    states = office.states()
    assert office.server.doubled() == []
    assert set(states) <= {"open", "uncertain"} and sum(states.values()) == count
    assert office.facts()["ticket.uncertain"] == states.get("uncertain", 0)
    assert len(office.server.opened) >= states["open"]


def test_what_the_search_does_not_show_yet_is_not_opened_again(make_office: Callable[..., Office]) -> None:
    office = make_office({"commit then reset": 1.0}, idempotent=False, lag=(60, 60))
    office.file(1)
    opening = Ticketing(
        office.product.database, office.product.desk, office.product.handoff, office.product.suspects, NONE
    )
    assert opening.open_once()
    office.server.chances = {}
    deadline = time.monotonic() + 30
    while not any(one.what == "find" for one in office.server.ledger):
        assert time.monotonic() < deadline
        opening.open_once()
    assert office.server.doubled() == [] and len(office.server.opened) == 1


def test_looks_that_the_desk_did_not_answer_do_not_count(make_office: Callable[..., Office]) -> None:
    office = make_office({"commit then hang": 1.0}, idempotent=False, lag=(0.3, 0.3))
    office.file(1)
    opening = Ticketing(
        office.product.database, office.product.desk, office.product.handoff, office.product.suspects, NONE
    )
    assert opening.open_once()
    office.server.chances = {"reset": 1.0}
    deadline = time.monotonic() + 30
    while sum(one.what == "find" for one in office.server.ledger) < 8:
        assert time.monotonic() < deadline
        opening.open_once()
    office.server.chances = {}
    office.work()
    assert office.states() == {"open": 1} and office.server.doubled() == []


def test_a_desk_that_is_away_is_left_alone_and_receipts_go_on(make_office: Callable[..., Office]) -> None:
    office = make_office({"reset": 1.0}, idempotent=True)
    office.file(20)
    opening = Ticketing(
        office.product.database, office.product.desk, office.product.handoff, office.product.suspects, NONE
    )
    tried = sum(opening.open_once() for _ in range(20))
    assert tried == len(office.server.ledger) == desk_pause.FAILURES_ALLOWED, "twenty are due, five find out"
    office.hands.say("late", "宽带断了")
    office.hands.say("late", "13800138000")
    office.hands.tap("late", office.hands.button("late", "affirm"))
    assert any("TS-" in line for line in office.hands.heard("late")), "the receipt does not wait for the desk"
    with office.product.database.write() as db:
        db.execute(pauses.update().values(until=conversations.now(db) - timedelta(seconds=1)))
    assert [opening.open_once() for _ in range(5)] == [True, False, False, False, False], "one try after the pause"
    office.server.chances = {}
    office.work(threads=2)
    print(office.figures(21))
    assert office.states() == {"open": 21} and office.facts()["desk.answers"] == 1


def test_t4_two_workers_and_three_times_yes(make_office: Callable[..., Office]) -> None:
    office = make_office({"commit then hang": 0.3}, idempotent=False)
    product, hands = office.product, office.hands
    for number in range(10):
        who = f"customer-{number}"
        hands.say(who, "宽带断了")
        hands.say(who, "13800138000")
        yes = hands.button(who, "affirm")
        for _ in range(3):
            product.inbox.accept(chat(product), tap(who, yes))
    answering = [threading.Thread(target=Hands(product).work) for _ in range(2)]
    for one in answering:
        one.start()
    for one in answering:
        one.join()
    office.work(threads=2)
    print(office.figures(10))
    assert len(office.server.opened) == 10 and office.server.doubled() == []
    hands.say("customer-0", "话费多扣了")
    hands.say("customer-0", "13800138000")
    hands.tap("customer-0", hands.button("customer-0", "affirm"))
    office.work(threads=2)
    with product.database.read() as db:
        mine = complaints.of_identity(db, hands.conversation("customer-0").identity_id)
    assert len(mine) == 2 and len(office.server.opened) == 11, "another matter is another ticket"


def test_two_workers_never_ask_for_the_same_ticket(make_office: Callable[..., Office]) -> None:
    office = make_office({}, idempotent=False, deadline=10)
    office.file(30)
    office.work(threads=4)
    assert Counter(one.reference for one in office.server.ledger).most_common(1)[0][1] == 1
    assert len(office.server.opened) == 30
