"""Rasa and its action server fail in every way: nothing lost, nothing false, at most one excuse (U1-U5)."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import httpx
import pytest
from sqlalchemy import select, update

from bot import dialogue, worker
from bot.build import Product, build
from bot.dialogue import Question, Rasa, Said, read_answer
from bot.errors import TurnFailed
from bot.settings import Settings
from bot.store import conversations
from bot.store.complaints import complaint
from bot.store.conversations import conversation
from bot.store.inbox import inbox
from bot.store.outbox import outbox
from bot.store.tickets import ticket
from bot.store.turns import turn
from tests.chaos.rasa import NO_RESULT, RasaServer, spoilt, wire
from tests.chaos.wire import serving
from tests.talking import Hands, chat, complaint_talk, tap, text

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

CUSTOMERS = [pytest.param(6, id="short"), pytest.param(200, id="full", marks=pytest.mark.chaos_long)]
TIMEOUT = 0.4  # seconds that the product waits for an answer


class Line:
    """A product that asks Rasa over HTTP, and the times of every question."""

    def __init__(self, product: Product, server: RasaServer) -> None:
        self.product = product
        self.server = server
        self.hands = Hands(product)
        self.spans: list[tuple[int, float, float]] = []  # conversation, from, to
        asking = product.dialogue.turn

        def timed(question: Question) -> Said:
            began = time.monotonic()
            with product.database.read() as db:
                whose = db.scalar(select(turn.c.conversation_id).where(turn.c.id == int(question.turn_id)))
            try:
                return asking(question)
            finally:
                self.spans.append((int(whose or 0), began, time.monotonic()))

        product.dialogue.turn = timed  # type: ignore[method-assign]

    def accept(self, who: str, words: str) -> None:
        self.product.inbox.accept(chat(self.product), text(who, words))

    def hurry(self) -> None:
        """Pauses are over."""
        with self.product.database.write() as db:
            now = conversations.now(db)
            db.execute(update(conversation).where(conversation.c.work_at.is_not(None)).values(work_at=now))
        self.hands.work()

    def struggle(self, times: int) -> None:
        """So many tries to answer somebody while Rasa is away, and what there is to say meanwhile."""
        for _ in range(times):
            self.hands.turns.work_once()
        while self.hands.sender.send_once():
            pass

    def until_rest(self) -> None:
        deadline = time.monotonic() + 120
        while self._open():
            assert time.monotonic() < deadline, "messages are still open"
            self.hurry()

    def _open(self) -> bool:
        waiting = select(inbox.c.id).join(conversation, conversation.c.id == inbox.c.conversation_id)
        with self.product.database.read() as db:
            found = db.execute(waiting.where(inbox.c.disposition == "open", conversation.c.state == "bot")).first()
        return found is not None

    def count(self, column: object, *where: object) -> int:
        with self.product.database.read() as db:
            return len(db.execute(select(column).where(*where)).all())  # type: ignore[call-overload]

    def confirm_to_be(self, who: str) -> str:
        """Up to the last question; gives its yes button."""
        self.hands.say(who, "宽带断了")
        self.hands.say(who, "13800138000")
        return self.hands.button(who, "affirm")


@pytest.fixture
def make_line(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Line]]:
    from bot import settings as settings_file

    monkeypatch.setattr(dialogue, "_PAUSE_WHEN_DOWN", 0.0)
    monkeypatch.setattr(worker, "PATIENCE_BEFORE_EXCUSE", timedelta(0))
    server = RasaServer(complaint_talk)
    made: list[Product] = []
    with serving(server.answer) as url:

        def make(**more: str) -> Line:
            given = {"TINGSU_RASA_URL": url, "TINGSU_TURN_TIMEOUT": str(TIMEOUT), **more}
            read: Settings = settings_file.read(environ | given)
            made.append(build(read))
            return Line(made[-1], server)

        yield make
        for product in made:
            product.close()


@pytest.mark.parametrize("count", CUSTOMERS)
@pytest.mark.parametrize("fault", ["hang", "reset"])
def test_u1_rasa_away_under_load(make_line: Callable[..., Line], fault: str, count: int) -> None:
    line = make_line()
    names = [f"customer-{number}" for number in range(count)]
    line.server.always = fault
    for name in names:
        line.accept(name, "宽带断了")
    line.struggle(count)
    for name in names:
        line.accept(name, "人民路 13800138000")
    line.struggle(count)
    assert line.count(turn.c.id, turn.c.state == "done") == 0
    line.server.always = "ok"
    began = time.monotonic()
    line.until_rest()
    excuses = [sum(row.text_key == "system.one_moment" for row in line.hands.rows(name)) for name in names]
    print(
        f"{count} customers, {fault}: excuses at most {max(excuses)}, answered {time.monotonic() - began:.1f} s after"
    )
    assert max(excuses) <= 1
    assert line.count(inbox.c.id, inbox.c.disposition != "turn") == 0, "every message was answered by a turn"
    with line.product.database.read() as db:
        done = db.execute(select(turn.c.conversation_id, turn.c.first_sequence).order_by(turn.c.finished_at, turn.c.id))
        order: dict[int, list[int]] = {}
        for whose, first in done:
            order.setdefault(whose, []).append(first)
    assert all(firsts == sorted(firsts) for firsts in order.values()) and len(order) == count


def test_u1_after_patience_a_person_takes_over(make_line: Callable[..., Line]) -> None:
    line = make_line(TINGSU_RASA_PATIENCE="0.001")
    line.confirm_to_be("ann")
    line.server.always = "reset"
    line.hands.say("ann", "怎么没动静")
    line.hurry()
    assert line.hands.conversation("ann").state == "queued"
    assert line.count(complaint.c.id) == 1, "the draft is filed as it is"


@pytest.mark.parametrize(
    "count", [pytest.param(200, id="short"), pytest.param(500, id="full", marks=pytest.mark.chaos_long)]
)
def test_u2_no_result_is_told_from_a_result(count: int) -> None:
    rng = random.Random(2)
    misread = 0
    for number in range(count):
        question = Question(str(number), "宽带断了", None, 0, {}, {}, datetime.now(UTC), "Asia/Shanghai", "zh")
        fate = rng.choice(["ok", "ok", "command only", *NO_RESULT])
        said = (
            Said([], [{"name": "tell_status", "args": {}}], {}) if fate == "command only" else complaint_talk(question)
        )
        answer = spoilt("ok" if fate == "command only" else fate, wire({"turn_id": str(number)}, said))
        try:
            read_answer(question.turn_id, httpx.Response(200, json=answer))
            misread += fate in NO_RESULT
        except TurnFailed:
            misread += fate not in NO_RESULT
    print(f"misclassified {misread} of {count}")
    assert misread == 0


@pytest.mark.parametrize("fault", NO_RESULT)
def test_u2_u4_what_is_no_result_is_asked_again_and_changes_nothing(make_line: Callable[..., Line], fault: str) -> None:
    line = make_line()
    line.hands.say("ann", "宽带断了")
    before = line.hands.conversation("ann").dialogue
    line.server.plan = [fault]
    line.hands.say("ann", "13800138000")
    after = line.hands.conversation("ann").dialogue
    assert after == before and after["slots"] == {"what": "宽带断了"}, "the form is as the customer left it"
    line.until_rest()
    assert line.server.asked[-1] == line.server.asked[-2], "the same turn again"
    assert line.hands.conversation("ann").dialogue["slots"] == {"what": "宽带断了", "number": "13800138000"}


def test_u3_rasa_dies_in_the_middle_of_a_turn(make_line: Callable[..., Line]) -> None:
    line = make_line()
    yes = line.confirm_to_be("ann")
    line.server.plan = ["reset", "hang", "reset"]
    line.product.inbox.accept(chat(line.product), tap("ann", yes))
    line.hands.work()
    line.until_rest()
    assert len(set(line.server.asked[-4:])) == 1, "four questions, one turn"
    while line.product.ticketing().open_once():
        pass
    assert line.count(complaint.c.id) == line.count(ticket.c.id) == 1


def test_u4_any_rasa_goes_on_where_the_last_one_stopped(make_line: Callable[..., Line]) -> None:
    line = make_line()
    line.hands.say("ann", "宽带断了")
    with serving(RasaServer(complaint_talk).answer) as url:
        other = Rasa(url, 5)
        line.product.dialogue.turn = other.turn  # type: ignore[method-assign]
        line.hands.say("ann", "13800138000")
        other.close()
    assert line.hands.conversation("ann").dialogue["slots"] == {"what": "宽带断了", "number": "13800138000"}


@pytest.mark.parametrize("fault", ["actions away", "actions 500", "hang"])
def test_u5_without_the_action_server_nothing_is_said_to_be_filed(make_line: Callable[..., Line], fault: str) -> None:
    """Two workers; "hang" is longer than the product waits, and than its lease."""
    line = make_line(TINGSU_LEASE_SECONDS=str(TIMEOUT * 2))
    yes = line.confirm_to_be("ann")
    line.server.plan = [fault, fault]
    line.product.inbox.accept(chat(line.product), tap("ann", yes))
    helper = Hands(line.product)

    def work() -> None:
        for _ in range(30):
            helper.turns.work_once()
            time.sleep(0.02)

    beside = threading.Thread(target=work)
    beside.start()
    for _ in range(3):
        line.hands.turns.work_once()
    receipts = line.count(outbox.c.id, outbox.c.topic == "receipt")
    assert receipts == line.count(complaint.c.id), "no receipt without a complaint"
    line.until_rest()
    beside.join()
    line.hands.work()
    assert line.count(outbox.c.id, outbox.c.topic == "receipt") == line.count(complaint.c.id) == 1
    spans = sorted(line.spans, key=lambda span: span[1])
    assert all(b[1] >= a[2] for a, b in pairwise(spans)), "one turn at a time"


def test_u5_hanging_until_it_is_given_up_files_nothing_false(make_line: Callable[..., Line]) -> None:
    line = make_line()
    line.hands.say("ann", "你好")
    line.server.always = "actions 500"
    line.hands.say("ann", "13800138000")
    line.until_rest()
    assert line.hands.conversation("ann").state == "queued", "three failures of one turn: a person"
    said = line.hands.heard("ann")
    assert line.count(complaint.c.id) == sum("TS-" in one for one in said), "every receipt is of a filed complaint"
