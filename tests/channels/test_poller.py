"""The polling loop: nothing lost, nothing doubled, one reader per source, and no failure that ends it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from bot import poller
from bot.build import Product
from bot.channel import Account, Batch
from bot.desk import Change, NewTicket, TicketState
from bot.errors import DeskDown, SendFailed, Throttled
from bot.inbox import Inbox
from bot.message import Incoming, Kind
from bot.poller import ChannelSource, DeskSource, Reader
from bot.store import cursors
from bot.store.database import Database
from bot.store.inbox import inbox
from bot.store.letters import Which
from tests.channels.conftest import TelegramEmulator


class Feed:
    """A polled channel that plays what a test wrote down: batches, or errors to raise."""

    def __init__(self, *script: Sequence[Incoming] | Exception, polled: bool = True) -> None:
        self.script = list(script)
        self.polled = polled
        self.asked: list[str] = []
        self.registered = 0

    def register(self) -> bool:
        self.registered += 1
        return self.polled

    def fetch(self, cursor: str) -> Batch:
        self.asked.append(cursor)
        step = self.script.pop(0) if self.script else []
        if isinstance(step, Exception):
            raise step
        return Batch(step, str(int(cursor or 0) + len(step)))

    def close(self) -> None:
        """Nothing to close."""


def text(key: str, words: str = "你好") -> Incoming:
    return Incoming(key, Kind.TEXT, sender="customer", text=words)


def stored(product: Product) -> list[tuple[str, str]]:
    with product.database.read() as db:
        return [(row.event_key, row.kind) for row in db.execute(select(inbox).order_by(inbox.c.id))]


@pytest.fixture
def account(product: Product) -> Account:
    return product.accounts["screen", "main"]


@pytest.fixture
def make_reader(product: Product, account: Account) -> Callable[[Any], Reader]:
    def make(feed: Feed) -> Reader:
        return Reader(product.database, ChannelSource(product.inbox, account, feed), threading.Event())

    return make


MakeReader = Callable[[Any], Reader]


def test_events_and_cursor_go_together(product: Product, make_reader: MakeReader) -> None:
    feed = Feed([text("a"), text("b")], [], [text("c")])
    reader = make_reader(feed)
    pauses = [reader.round() for _ in range(3)]
    assert feed.asked == ["", "2", "2"]
    assert [key for key, _ in stored(product)] == ["a", "b", "c"]
    assert pauses == [0.0, poller.IDLE_PAUSE, 0.0], "a source that answers at once with nothing is not hammered"


def test_a_new_reader_goes_on_where_the_last_one_stopped(product: Product, make_reader: MakeReader) -> None:
    first = make_reader(Feed([text("a"), text("b")]))
    first.round()
    first._give_back()
    feed = Feed()
    make_reader(feed).round()
    assert feed.asked == ["2"]


def test_only_one_reads_at_a_time(make_reader: MakeReader) -> None:
    make_reader(Feed()).round()
    waiting = Feed()
    assert make_reader(waiting).round() == poller.TAKEN_WAIT
    assert waiting.asked == []


def test_who_lost_the_lease_stores_nothing(product: Product, make_reader: MakeReader) -> None:
    slow = make_reader(Feed([text("old")], [text("late")]))
    slow.round()
    with product.database.write() as db:
        cursors.release(db, "channel:screen/main", 1)
    make_reader(Feed([text("new")])).round()
    assert slow.round() == poller.TAKEN_WAIT
    assert [key for key, _ in stored(product)] == ["old", "new"]


def test_the_lease_is_renewed_while_reading(
    product: Product, make_reader: MakeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller, "LEASE", 0.3)
    monkeypatch.setattr(poller, "RENEW_AFTER", 0.0)
    reader = make_reader(Feed())
    for _ in range(4):
        reader.round()
        time.sleep(0.1)
    with product.database.write() as db:
        assert cursors.lease(db, "channel:screen/main", 1) is None
    time.sleep(0.5)
    with product.database.write() as db:
        assert cursors.lease(db, "channel:screen/main", 1) is not None
    assert reader.round() == poller.TAKEN_WAIT


@pytest.mark.parametrize(
    "error",
    [SendFailed("gone", permanent=True), DeskDown("x"), ValueError("a bug"), OperationalError("x", {}, Exception())],
)
def test_failures_make_it_slower_and_never_end_it(make_reader: MakeReader, error: Exception) -> None:
    reader = make_reader(Feed(*[error] * 4, [text("at last")]))
    pauses = [reader.round() or 0.0 for _ in range(4)]
    assert 0.5 <= pauses[0] <= 1.0
    assert 4 <= pauses[3] <= 8
    assert reader.round() == 0.0
    assert reader._failures == 0


@pytest.mark.parametrize(("asked", "waited"), [(17.0, 17.0), (0.0, 1.0), (1e9, poller.LONGEST_THROTTLE)])
def test_an_asked_pause_is_kept(make_reader: MakeReader, asked: float, waited: float) -> None:
    assert make_reader(Feed(Throttled(asked))).round() == waited


def test_what_posts_to_us_is_registered_and_left_alone(product: Product, make_reader: MakeReader) -> None:
    feed = Feed(polled=False)
    assert make_reader(feed).round() is None
    assert (feed.registered, feed.asked) == (1, [])
    with product.database.write() as db:
        assert cursors.lease(db, "channel:screen/main", 1) is not None


def test_a_registration_that_fails_is_tried_again(make_reader: MakeReader) -> None:
    class Shy(Feed):
        def register(self) -> bool:
            if super().register() and self.registered == 1:
                raise SendFailed("not now", permanent=False)
            return True

    feed = Shy([text("a")])
    reader = make_reader(feed)
    assert reader.round() != 0.0
    assert reader.round() == 0.0
    assert feed.registered == 2


def test_one_indigestible_event_costs_none_of_the_others(
    product: Product, make_reader: MakeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Inbox._place

    def choke(self: Inbox, db: Any, found: Any, incoming: Incoming, *more: Any) -> str:
        if incoming.text == "poison":
            raise RuntimeError("a bug of ours")
        return place(self, db, found, incoming, *more)

    monkeypatch.setattr(Inbox, "_place", choke)
    feed = Feed([text("a"), text("b", "poison"), text("c")], [])
    reader = make_reader(feed)
    reader.round()
    reader.round()
    assert stored(product) == [("a", "text"), ("b", "malformed"), ("c", "text")]
    assert feed.asked == ["", "3"]


def test_database_trouble_sets_nothing_aside(
    product: Product, make_reader: MakeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Feed([text("a")], [text("a")])
    reader = make_reader(feed)
    with monkeypatch.context() as broken:
        broken.setattr(Inbox, "accept_batch", lambda *_: (_ for _ in ()).throw(OperationalError("x", {}, Exception())))
        assert reader.round() != 0.0
    assert stored(product) == []
    reader.round()
    assert stored(product) == [("a", "text")]
    assert feed.asked == ["", ""]


class TestDesk:
    """The desk as a source."""

    @pytest.fixture
    def source(self, product: Product, monkeypatch: pytest.MonkeyPatch) -> DeskSource:
        monkeypatch.setattr(poller, "DESK_TICK", 0.01)
        return DeskSource(product.complaints, product.desk, product.bell)

    def test_a_quiet_desk_is_heard(self, product: Product, source: DeskSource) -> None:
        with product.database.read() as db:
            assert cursors.heard_at(db, source.name) is None
        Reader(product.database, source, threading.Event()).round()
        with product.database.read() as db:
            assert cursors.heard_at(db, source.name) is not None

    def test_its_changes_are_taken_over_once(self, product: Product, source: DeskSource) -> None:
        ticket = product.desk.open(NewTicket("TS-1", "x", "normal", "s", "zh", _now(product), {}))
        product.desk.set_state(ticket.ticket_id, TicketState.RESOLVED, "done", "user:1")
        reader = Reader(product.database, source, threading.Event())
        assert reader.round() == 0.0
        assert reader._lease is not None and reader._lease[1] == "2"

    def test_a_change_that_cannot_be_digested_holds_up_no_other(
        self, product: Product, source: DeskSource, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is kept for a person, once, and what follows it is taken over."""
        for reference in ("TS-1", "TS-2", "TS-3"):
            product.desk.open(NewTicket(reference, "x", "normal", "s", "zh", _now(product), {}))
        taken: list[str] = []
        take = product.complaints._take_change

        def digest(db: Any, change: Change) -> bool:
            if change.reference == "TS-2":
                raise RecursionError
            taken.append(change.reference)
            return take(db, change)

        monkeypatch.setattr(product.complaints, "_take_change", digest)
        reader = Reader(product.database, source, threading.Event())
        reader.round()
        reader.round()
        assert taken[-1] == "TS-3"
        (letter,) = product.letters.find(Which(kind="change"))
        assert (letter.reason, letter.topic) == ("RecursionError", "local")
        assert product.letters.show("change", letter.id).details["reference"] == "TS-2"  # type: ignore[union-attr]

    def test_a_silent_desk_is_not_heard(
        self, product: Product, source: DeskSource, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def down(cursor: str) -> tuple[Sequence[Change], str]:
            raise DeskDown("no answer")

        monkeypatch.setattr(product.desk, "changes", down)
        assert Reader(product.database, source, threading.Event()).round() != 0.0
        with product.database.read() as db:
            assert cursors.heard_at(db, source.name) is None


def test_a_stale_token_never_moves_the_cursor(database: Database) -> None:
    with database.write() as db:
        lease = cursors.lease(db, "s", 60)
    assert lease is not None
    with database.write() as db:
        assert cursors.advance(db, "s", lease[0], "5")
        cursors.release(db, "s", lease[0])
        assert not cursors.advance(db, "s", lease[0], "6")
        assert not cursors.renew(db, "s", lease[0], 60)
        assert cursors.lease(db, "s", 60) == (lease[0] + 2, "5")


def _now(product: Product) -> Any:
    from bot.store import conversations

    with product.database.read() as db:
        return conversations.now(db)


@pytest.mark.real
class TestAgainstTheEmulator:
    """The whole way in: emulator, channel, loop, inbox, in threads and in a process of its own."""

    def test_updates_reach_the_inbox_in_order(
        self, make_product: Callable[..., Product], telegram_emulator: TelegramEmulator
    ) -> None:
        product = make_product(
            TINGSU_TELEGRAM_TOKEN=telegram_emulator.token, TINGSU_TELEGRAM_API_URL=telegram_emulator.base_url
        )
        stop = threading.Event()
        loop = threading.Thread(target=poller.run, args=(product.database, poller.sources(product), stop))
        loop.start()
        for number in range(10):
            telegram_emulator.push_text(4711, f"message {number}")
        deadline = time.monotonic() + 10
        while len(stored(product)) < 10 and time.monotonic() < deadline:
            time.sleep(0.05)
        began = time.monotonic()
        stop.set()
        loop.join(10)
        assert not loop.is_alive() and time.monotonic() - began < 8
        with product.database.read() as db:
            said = [row.text for row in db.execute(select(inbox).order_by(inbox.c.sequence))]
        assert said == [f"message {number}" for number in range(10)]

    def test_the_process_reads_and_ends_on_sigterm(
        self,
        make_product: Callable[..., Product],
        environ: dict[str, str],
        telegram_emulator: TelegramEmulator,
    ) -> None:
        environ |= {
            "TINGSU_TELEGRAM_TOKEN": telegram_emulator.token,
            "TINGSU_TELEGRAM_API_URL": telegram_emulator.base_url,
        }
        product = make_product()
        child = subprocess.Popen([sys.executable, "-m", "bot", "poller"], env=os.environ | environ)
        try:
            telegram_emulator.push_text(4711, "宽带断了")
            deadline = time.monotonic() + 20
            while not stored(product) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert len(stored(product)) == 1
            child.send_signal(signal.SIGTERM)
            assert child.wait(10) == 0
        finally:
            child.kill()
            child.wait()
