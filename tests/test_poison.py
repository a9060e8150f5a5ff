"""What counts as an attempt and what does not, and who may try beside whom."""

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from bot import worker
from bot.build import Product
from bot.dialogue import Question, Script
from bot.errors import DialogueDown
from bot.store import conversations, turns
from bot.store.letters import Which
from bot.suspects import Suspects
from tests.talking import Hands, chat, complaint_talk, text


class Died(BaseException):
    """What a killed process leaves behind, without the kill: nobody catches it."""


@pytest.fixture
def hands(product: Product, script: Script) -> Hands:
    script.answer = complaint_talk
    return Hands(product)


def fails_with(error: BaseException) -> Any:
    def answer(question: Question) -> Any:
        raise error

    return answer


def starts(product: Product) -> list[int]:
    with product.database.read() as db:
        return [row.starts for row in db.execute(select(turns.turn.c.starts).order_by(turns.turn.c.id))]


def begin_and_die(hands: Hands, script: Script) -> None:
    """The lease is given back on the way, so that the test need not wait for its end."""
    script.answer = fails_with(Died())
    with pytest.raises(Died):
        hands.turns.work_once()
    script.answer = complaint_talk


def test_an_attempt_is_counted_before_the_work(hands: Hands, script: Script) -> None:
    seen: list[int] = []

    def look(question: Question) -> Any:
        seen.extend(starts(hands.product))
        return complaint_talk(question)

    script.answer = look
    hands.say("ann", "宽带断了")
    assert seen == [1], "whoever dies now has counted"


def test_five_deaths_are_enough_and_a_person_has_it(hands: Hands, script: Script) -> None:
    hands.product.inbox.accept(chat(hands.product), text("ann", "宽带断了"))
    for _ in range(worker.STARTS_ALLOWED):
        begin_and_die(hands, script)
    assert starts(hands.product) == [5] and hands.conversation("ann").state == "bot"
    hands.work()
    assert hands.conversation("ann").state == "queued"
    assert hands.product.letters.find(Which(kind="turn"))[0].reason == "killed its worker"


@pytest.mark.parametrize(
    "trouble", [DialogueDown("away"), OperationalError("SELECT", {}, Exception("server closed the connection"))]
)
def test_what_we_depend_on_is_not_the_turns_fault(hands: Hands, script: Script, trouble: Exception) -> None:
    hands.product.inbox.accept(chat(hands.product), text("ann", "宽带断了"))
    script.answer = fails_with(trouble)
    for _ in range(8):
        with hands.product.database.write() as db:
            conversations.change(db, hands.conversation("ann").id, work_at=conversations.now(db))
        try:
            hands.turns.work_once()
        except OperationalError:
            continue
    assert starts(hands.product) == [0] and hands.conversation("ann").state == "bot"


def test_a_suspect_waits_for_the_other_one_uncounted(hands: Hands, script: Script) -> None:
    hands.product.inbox.accept(chat(hands.product), text("ann", "宽带断了"))
    begin_and_die(hands, script)
    with hands.product.suspects.alone(True) as taken:
        assert taken
        hands.work()
        assert starts(hands.product) == [1] and hands.heard("ann") == []
        hands.say("bob", "没有信号")
        assert len(hands.heard("bob")) == 1, "who is not suspected does not wait"
    hands.hurry("ann")
    assert len(hands.heard("ann")) == 1


def test_a_suspected_sending_keeps_its_count_while_it_waits(hands: Hands) -> None:
    hands.product.inbox.accept(chat(hands.product), text("ann", "宽带断了"))
    hands.turns.work_once()
    with hands.product.database.write() as db:
        conversations.change(db, hands.conversation("ann").id, send_claims=3)
    with hands.product.suspects.alone(True):
        hands.sender.send_once()
    assert hands.conversation("ann").send_claims == 3 and hands.heard("ann") == []
    with hands.product.database.write() as db:
        conversations.change(db, hands.conversation("ann").id, send_at=conversations.now(db))
    hands.work()
    assert hands.conversation("ann").send_claims == 0 and len(hands.heard("ann")) == 1


def test_one_suspect_at_a_time() -> None:
    suspects = Suspects()
    with suspects.alone(True) as first, suspects.alone(True) as second, suspects.alone(False) as harmless:
        assert (first, second, harmless) == (True, False, True)
    with suspects.alone(True) as later:
        assert later
