"""The messaging platform fails in every way, behind the real Telegram channel (O1, O2), and a storm of retries (L10)."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from bot import outbox
from bot.build import Product
from bot.channels import telegram
from bot.errors import SendFailed, Throttled
from bot.store import conversations, people
from bot.store.conversations import conversation
from bot.store.outbox import outbox as rows
from tests.chaos.platform import Platform
from tests.chaos.wire import serving
from tests.running import free_port
from tests.test_sending import FakeChannel

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

ANN, BOB = "4711", "4712"


class Post:
    """The product's sender with Telegram's channel, and the platform behind it."""

    def __init__(self, product: Product, platform: Platform) -> None:
        self.product = product
        self.platform = platform
        self.sender = product.sender()
        self.account = product.accounts["telegram", "main"]

    def write(self, chat: str, *texts: str) -> None:
        """Notices to a customer, in one commit."""
        with self.product.database.write() as db:
            someone = people.ensure_identity(db, self.account.id, chat)
            talk = conversations.ensure(db, someone.id, self.account.id, "zh")
            for number, text in enumerate(texts):
                outbox._write(db, talk, outbox.NOTICE, f"notice:{chat}:{text[:20]}:{number}", text=text)

    def send(self) -> None:
        """Everything that is due."""
        while self.sender.send_once():
            pass

    def hurry(self) -> None:
        """What waits for another try is due now."""
        with self.product.database.write() as db:
            now = conversations.now(db)
            db.execute(update(rows).where(rows.c.state == "retry").values(due_at=now))
            db.execute(update(conversation).where(conversation.c.send_at.is_not(None)).values(send_at=now))
        self.send()

    def states(self, chat: str) -> list[str]:
        with self.product.database.read() as db:
            talk = conversations.of_sender(db, self.account.id, chat)
            assert talk is not None
            found = db.scalars(select(rows.c.state).where(rows.c.conversation_id == talk.id).order_by(rows.c.id))
            return list(found)


@pytest.fixture
def make_post(make_product: Callable[..., Product], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Post]]:
    monkeypatch.setattr(telegram, "SEND_DEADLINE", 1.0)  # so that a platform that hangs costs a second
    with ExitStack() as stack:

        def make() -> Post:
            platform = Platform()
            url = stack.enter_context(serving(platform.answer))
            product = make_product(TINGSU_TELEGRAM_TOKEN="1:a", TINGSU_TELEGRAM_API_URL=url)
            return Post(product, platform)

        yield make


@pytest.mark.parametrize("fault", ["429", "500", "502", "503"])
def test_o1_not_taken_now_is_tried_again_in_order(make_post: Callable[[], Post], fault: str) -> None:
    post = make_post()
    post.platform.plan[ANN] = [fault, fault]
    post.write(ANN, "one", "two", "three")
    post.write(BOB, "for bob")
    post.send()
    assert post.states(ANN) == ["retry", "pending", "pending"], "nothing overtakes what waits for its retry"
    assert post.platform.delivered(BOB) == ["for bob"]
    post.hurry()
    post.hurry()
    assert post.platform.delivered(ANN) == ["one", "two", "three"] and post.platform.calls(ANN) == 5


def test_o1_retry_after_is_kept(make_post: Callable[[], Post]) -> None:
    post = make_post()
    post.platform.plan[ANN] = ["429"]
    post.write(ANN, "one")
    deadline = time.monotonic() + 30
    while not post.platform.delivered(ANN):
        assert time.monotonic() < deadline
        post.send()
        time.sleep(0.02)
    first, second = (one.at for one in post.platform.ledger)
    assert second - first >= 1.0, "the platform asked for a second"


def test_o1_connection_refused_is_tried_again(make_post: Callable[[], Post]) -> None:
    post = make_post()
    nowhere = {**post.account.settings, "api_url": f"http://127.0.0.1:{free_port()}"}
    away = telegram.Telegram(type(post.account)(post.account.id, "telegram", "main", "1:a", "", nowhere))
    post.product.channels._made[post.account.id] = away
    post.write(ANN, "one", "two")
    post.send()
    away.close()
    assert post.states(ANN) == ["retry", "pending"]
    del post.product.channels._made[post.account.id]
    post.hurry()
    assert post.platform.delivered(ANN) == ["one", "two"] and post.platform.calls(ANN) == 2


@pytest.mark.parametrize("fault", ["delivered then hang", "delivered then reset", "hang", "reset"])
def test_o1_without_an_answer_it_is_uncertain_and_never_sent_again(make_post: Callable[[], Post], fault: str) -> None:
    post = make_post()
    post.platform.plan[ANN] = [fault]
    post.write(ANN, "one", "two")
    for _ in range(3):
        post.hurry()
    assert post.states(ANN) == ["uncertain", "sent"]
    assert Counter(one.text for one in post.platform.ledger) == {"one": 1, "two": 1}


@pytest.mark.parametrize("fault", ["400", "403"])
def test_o1_refused_for_good_is_dead_and_blocks_nothing(make_post: Callable[[], Post], fault: str) -> None:
    post = make_post()
    post.platform.plan[ANN] = [fault]
    post.write(ANN, "one", "two")
    for _ in range(3):
        post.hurry()
    assert post.states(ANN) == ["dead", "sent"]
    assert post.platform.calls(ANN) == 2 and post.platform.delivered(ANN) == ["two"]


def test_o1_a_failed_piece_resends_no_earlier_one(make_post: Callable[[], Post]) -> None:
    post = make_post()
    long = "".join(f"{number:05d}" for number in range(2000))  # three pieces
    post.platform.plan[ANN] = ["ok", "429"]
    post.write(ANN, long, "after")
    post.send()
    post.hurry()
    pieces = post.platform.delivered(ANN)
    assert "".join(pieces[:-1]).replace(" ", "") == long and pieces[-1] == "after"
    assert max(len(piece) for piece in pieces) <= 4096 and post.platform.calls(ANN) == len(pieces) + 1


def test_o1_an_uncertain_receipt_is_repeated_before_the_next_message(make_post: Callable[[], Post]) -> None:
    post = make_post()
    post.platform.plan[ANN] = ["delivered then reset"]
    args = {
        "reference": "TS7K3M-9QWXA4",
        "code": "1234",
        "category": "broadband.disconnection",
        "due_at": "2026-12-09T00:00:00+00:00",
    }
    post.write(ANN)
    with post.product.database.write() as db:
        talk = conversations.of_sender(db, post.account.id, ANN)
        assert talk is not None
        outbox.notice(db, talk, "receipt:1", "receipt", "receipt.filed", args=args)
    post.send()
    assert post.states(ANN) == ["uncertain", "held"]
    post.write(ANN, "next")
    post.send()
    assert post.platform.calls(ANN) == 3, "the receipt, its repeat, and the next message"
    first, repeated, after = post.platform.delivered(ANN)
    assert "以防" in repeated and after == "next"
    assert "TS" in first and _reference(first) == _reference(repeated)


def _reference(text: str) -> list[str]:
    return [word for word in text.replace("，", " ").replace("。", " ").split() if word.startswith("TS")]


@pytest.mark.parametrize("fault", ["403", "500", "reset"])
def test_o2_a_dead_chat_does_not_slow_the_others(make_post: Callable[[], Post], fault: str) -> None:
    post = make_post()
    calm = _all_others(post, "9")
    post.platform.always[ANN] = fault
    post.write(ANN, *(f"pending {number}" for number in range(1000)))
    beside = _all_others(post, "8")
    calls = post.platform.calls(ANN)
    waiting = sum(state in ("pending", "retry") for state in post.states(ANN))
    print(f"{fault}: others {beside / calm:.2f} times as slow; the dead chat made {calls} calls, {waiting} rows wait")
    assert waiting >= 1000 - calls and calls <= 15, (
        "one failed call, then the others have their turn: 60 messages meanwhile"
    )


def _all_others(post: Post, first: str) -> float:
    chats = [f"{first}{number:03d}" for number in range(30)]
    for chat in chats:
        post.write(chat, "one", "two")
    began = time.monotonic()
    while any(len(post.platform.delivered(chat)) < 2 for chat in chats):
        assert time.monotonic() < began + 60, "others are still waiting"
        if not post.sender.send_once():
            time.sleep(0.02)  # Telegram's pace, which all chats share
    return time.monotonic() - began


@pytest.mark.parametrize(
    "count", [pytest.param(300, id="short"), pytest.param(5000, id="full", marks=pytest.mark.chaos_long)]
)
@pytest.mark.parametrize("error", [SendFailed("busy", permanent=False), Throttled(600)], ids=["down", "throttled"])
def test_l10_retries_that_failed_together_do_not_come_back_together(
    product: Product, count: int, error: Exception
) -> None:
    channel = FakeChannel()
    channel.plan = [_raising(error)] * count
    account = product.accounts["screen", "main"]
    product.channels._made[account.id] = channel
    with product.database.write() as db:
        for number in range(count):
            someone = people.ensure_identity(db, account.id, f"c{number}")
            talk = conversations.ensure(db, someone.id, account.id, "zh")
            outbox._write(db, talk, outbox.NOTICE, f"notice:{number}", text="one", attempts=9)
    sender = product.sender()
    while sender.send_once():
        pass
    with product.database.read() as db:
        pauses = [due - at for due, at in db.execute(select(rows.c.due_at, rows.c.sending_at))]
    spread = (max(pauses) - min(pauses)).total_seconds()
    peak = max(Counter(int(pause.total_seconds()) for pause in pauses).values())
    print(f"{count} retries over {spread:.0f} s, at most {peak} in one second")
    if isinstance(error, Throttled):
        assert min(pauses) >= timedelta(seconds=600), "never earlier than asked"
    assert spread >= 200 and peak <= 8 + 3 * count / 256


def _raising(error: Exception) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act
