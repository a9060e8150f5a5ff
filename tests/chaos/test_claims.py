"""A claim that meets a send in flight returns clean only when the platform's word is in (promise P4)."""

import threading
from collections.abc import Iterator

import pytest

from bot.build import Product
from bot.conversation import Claimed
from bot.dialogue import Script
from bot.errors import SendUncertain
from bot.store import conversations, outbox
from tests.talking import Hands, complaint_talk, text
from tests.test_sending import FakeChannel


class Flight:
    """A send that has left us; the test says how it ends."""

    def __init__(self) -> None:
        self.left, self.ended = threading.Event(), threading.Event()
        self.error: Exception | None = None

    def __call__(self) -> None:
        self.left.set()
        assert self.ended.wait(10)
        if self.error is not None:
            raise self.error

    def end(self, error: Exception | None = None) -> None:
        self.error = self.error or error
        self.ended.set()


class Meeting:
    """A message of the bot in flight, and an agent who claims meanwhile."""

    def __init__(self, product: Product, script: Script) -> None:
        script.answer = complaint_talk
        screen = product.accounts["screen", "main"]
        channel = FakeChannel()
        product.channels._made[screen.id] = channel
        self.flight = Flight()
        channel.plan = [self.flight]
        self.hands = Hands(product)
        accepted = product.inbox.accept(screen, text("ann", "宽带断了"))
        assert accepted.conversation_id is not None
        self.conversation_id = accepted.conversation_id
        self.hands.turns.work_once()
        self._claimed: list[Claimed] = []
        agent = product.people.add("lin", "agent", "a long enough password")
        self._sending = threading.Thread(target=self.hands.sender.send_once)
        self._claiming = threading.Thread(
            target=lambda: self._claimed.append(product.ownership.claim(self.conversation_id, 1, agent))
        )
        self._sending.start()
        assert self.flight.left.wait(10)
        self._claiming.start()
        self._claiming.join(0.3)
        assert self._claiming.is_alive(), "the claim waits for the send"

    def claimed(self) -> Claimed:
        self._claiming.join(20)
        return self._claimed[0]

    def close(self) -> None:
        self.flight.end()
        self._sending.join(20)


@pytest.fixture
def meeting(product: Product, script: Script) -> Iterator[Meeting]:
    met = Meeting(product, script)
    yield met
    met.close()


def test_the_platform_took_it_before_the_claim_returned(meeting: Meeting) -> None:
    meeting.flight.end()
    assert meeting.claimed().uncertain == 0


def test_the_sender_gave_up_without_the_platforms_word(meeting: Meeting) -> None:
    meeting.flight.end(SendUncertain("no answer"))
    assert meeting.claimed().uncertain == 1, "it may still arrive, and the agent has to know"


def test_another_sender_finds_the_first_one_dead(meeting: Meeting) -> None:
    database = meeting.hands.product.database
    with database.write() as db:
        conversations.change(db, meeting.conversation_id, send_lease_until=None, send_at=conversations.now(db))
    meeting.hands.product.sender().send_once()
    with database.read() as db:
        assert [row.reason for row in outbox.in_state(db, meeting.conversation_id, "uncertain")] == ["sender died"]
    assert meeting.claimed().uncertain == 1
