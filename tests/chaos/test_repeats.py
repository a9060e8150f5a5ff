"""C4, C5, C6, C8: what platforms repeat late, bring in another order or in one batch, and every kind of update there is."""

import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from telegram import Update
from telegram.constants import MessageAttachmentType

from bot.build import Product
from bot.channel import Account, Batch
from bot.channels.telegram_updates import to_incoming
from bot.dialogue import Script
from bot.message import Incoming
from bot.poller import ChannelSource, Reader
from bot.store.conversations import conversation
from bot.store.inbox import inbox
from bot.store.outbox import outbox
from bot.store.turns import turn
from tests.channels.cases import FILE, TELEGRAM_TABLE, message
from tests.channels.cases import update as telegram_update
from tests.chaos.telegram import SECRET
from tests.chaos.world import own_valkey
from tests.talking import Hands, chat, complaint_talk, text
from webhooks import create_app

pytestmark = pytest.mark.chaos

MakeProduct = Callable[..., Product]


def rows(product: Product) -> Counter[str]:
    """How much there is of everything that an event may cause."""
    with product.database.read() as db:
        return Counter({t.name: db.scalar(select(func.count()).select_from(t)) or 0 for t in (inbox, turn, outbox)})


# C5 ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[str]:
    with own_valkey(tmp_path / "valkey") as url:
        yield url


def age(product: Product, by: timedelta) -> None:
    """As if everything had happened so much earlier."""
    with product.database.write() as db:
        for row in db.execute(select(inbox.c.id, inbox.c.received_at)).all():
            db.execute(update(inbox).where(inbox.c.id == row.id).values(received_at=row.received_at - by))
        for one in db.execute(select(conversation.c.id, conversation.c.last_inbound_at)).all():
            earlier = one.last_inbound_at - by
            db.execute(update(conversation).where(conversation.c.id == one.id).values(last_inbound_at=earlier))


def test_a_late_repeat_has_no_effect(make_product: MakeProduct, script: Script, valkey: str) -> None:
    """After an hour, after eight days, after a restart of everything, and after FLUSHALL: a key is never forgotten."""
    script.answer = complaint_talk
    event = text("ann", "宽带断了", "update-1")
    first = make_product(TINGSU_REDIS_URL=valkey)
    Hands(first).say("ann", event.text, key=event.event_key)
    before = rows(first)

    def repeat(product: Product) -> Counter[str]:
        assert product.inbox.accept(chat(product), event).duplicate
        Hands(product).work()
        return rows(product)

    for by in (timedelta(hours=1), timedelta(days=8)):
        age(first, by)
        assert repeat(first) == before
    second = make_product(TINGSU_REDIS_URL=valkey)
    assert repeat(second) == before
    with redis.Redis.from_url(valkey) as server:
        server.flushall()
    assert repeat(second) == before


# C4 ---------------------------------------------------------------------------------------------------------------


def test_overtaken_messages_are_all_answered_in_the_order_of_arrival(product: Product, script: Script) -> None:
    """Telegram's parallel connections change the order: what was accepted first is first, and nothing is dropped."""
    script.answer = complaint_talk
    hands, order = Hands(product), random.Random(4)
    numbers = list(range(1, 31))
    order.shuffle(numbers)
    for number in numbers:
        product.inbox.accept(chat(product), text("ann", f"message {number}", f"update-{number}"))
    hands.work()
    with product.database.read() as db:
        told = [row.text for row in db.execute(select(turn.c.text).order_by(turn.c.id))]
        dispositions = {row.disposition for row in db.execute(select(inbox.c.disposition))}
    assert "\n".join(told).split("\n") == [f"message {number}" for number in numbers]
    assert dispositions == {"turn"}


# C6 ---------------------------------------------------------------------------------------------------------------


def batch(broken: int | None = None, repeated: int | None = None) -> list[dict[str, Any]]:
    """Fifty updates of one chat; one of them cannot be read, or is there a second time instead of a new one."""
    updates = [telegram_update(n, message=message(n, text=f"message {n}")) for n in range(1, 51)]
    if broken is not None:
        updates[broken - 1] = telegram_update(broken, message=7)
    if repeated is not None:
        updates[repeated - 1] = updates[repeated - 2]
    return updates


class Once:
    """A polled channel that has one batch for us."""

    def __init__(self, events: list[Incoming]) -> None:
        self._events = events

    def register(self) -> bool:
        return True

    def fetch(self, cursor: str) -> Batch:
        return Batch([] if cursor else self._events, "1")

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def telegram(make_product: MakeProduct) -> tuple[Product, Account]:
    product = make_product(
        TINGSU_TELEGRAM_TOKEN="123456:synthetic",
        TINGSU_TELEGRAM_MODE="webhook",
        TINGSU_PUBLIC_URL="https://chaos.example",
        TINGSU_TELEGRAM_WEBHOOK_SECRET=SECRET,
    )
    return product, product.accounts["telegram", "main"]


def by_poll(product: Product, account: Account, updates: list[dict[str, Any]]) -> None:
    source = ChannelSource(product.inbox, account, Once([to_incoming(one) for one in updates]))
    Reader(product.database, source, threading.Event()).round()


def by_post(product: Product, account: Account, updates: list[dict[str, Any]]) -> None:
    client = create_app(product).test_client()
    assert {post(client, one) for one in updates} == {200}


def post(client: FlaskClient, body: Any) -> int:
    headers = {"X-Telegram-Bot-Api-Secret-Token": SECRET}
    return client.post("/channels/telegram/main", data=json.dumps(body), headers=headers).status_code


def kinds(product: Product) -> Counter[str]:
    with product.database.read() as db:
        return Counter(row.kind for row in db.execute(select(inbox.c.kind)))


@pytest.mark.parametrize("way", [by_poll, by_post])
def test_one_bad_update_costs_none_of_the_other_49(telegram: tuple[Product, Account], way: Callable[..., None]) -> None:
    way(*telegram, batch(broken=30))
    assert kinds(telegram[0]) == {"text": 49, "malformed": 1}
    with telegram[0].database.read() as db:
        [kept] = db.execute(select(inbox.c.event_key, inbox.c.disposition).where(inbox.c.kind == "malformed"))
    assert (kept.event_key, kept.disposition) == ("u:30", "recorded"), "what cannot be read has its row, too"


@pytest.mark.parametrize("way", [by_poll, by_post])
def test_one_repeat_in_a_batch_is_one_row_less(telegram: tuple[Product, Account], way: Callable[..., None]) -> None:
    for _ in range(2):
        way(*telegram, batch(repeated=30))
    assert kinds(telegram[0]) == {"text": 49}


# C8 ---------------------------------------------------------------------------------------------------------------


# What any attachment may need; a kind takes what it knows.
CONTENT: dict[str, Any] = FILE | {
    "duration": 1,
    "width": 1,
    "height": 1,
    "length": 1,
    "type": "regular",
    "is_animated": False,
    "is_video": False,
    "emoji": "🎲",
    "value": 3,
    "latitude": 1.0,
    "longitude": 1.0,
    "phone_number": "1",
    "first_name": "a",
    "title": "t",
    "description": "d",
    "currency": "CNY",
    "total_amount": 1,
    "start_parameter": "s",
    "address": "a",
    "id": "1",
    "question": "?",
    "options": [],
    "total_voter_count": 0,
    "is_closed": False,
    "is_anonymous": True,
    "allows_multiple_answers": False,
    "photo": [],
    "location": {"latitude": 1.0, "longitude": 1.0},
}


def every_kind() -> dict[str, dict[str, Any]]:
    """An update of each kind that python-telegram-bot knows, a message with each kind of content, and our own table."""
    kinds: dict[str, Any] = {f"update {kind}": {kind: message(text="x") | {"id": "1"}} for kind in Update.ALL_TYPES}
    contents = {f"message {kind}": {"message": message() | {kind.value: CONTENT}} for kind in MessageAttachmentType}
    return kinds | contents | {f"row {place}": one for place, (one, _) in enumerate(TELEGRAM_TABLE)}


def numbered(update: dict[str, Any], number: int) -> dict[str, Any]:
    """The same as an event of its own."""
    own = update | {"update_id": number}
    if isinstance(own.get("message"), dict):
        own["message"] = own["message"] | {"message_id": number}  # by which it is known
    if isinstance(own.get("callback_query"), dict) and own["callback_query"]["id"] == "9":
        own["callback_query"] = own["callback_query"] | {"id": f"{number}"}
    return own


def test_every_kind_of_update_has_a_row_and_a_disposition(
    telegram: tuple[Product, Account], tell: Callable[[str], None]
) -> None:
    product, _ = telegram
    client = create_app(product).test_client()
    seen: Counter[tuple[str, str, str]] = Counter()
    for number, (name, one) in enumerate(every_kind().items(), start=1000):
        before = rows(product)["inbox"]
        assert post(client, numbered(one, number)) == 200, name
        assert rows(product)["inbox"] == before + 1, f"{name} was acknowledged and dropped"
        with product.database.read() as db:
            last = db.execute(select(inbox).order_by(inbox.c.id.desc()).limit(1)).one()
        seen[last.kind, last.detail[:30] if last.detail.isprintable() else "", last.disposition] += 1
    lines = [f"    {kind:<10}{word:<32}{placed:<12}{count:>3}" for (kind, word, placed), count in sorted(seen.items())]
    tell("\n".join(["  C8, kind, Telegram's word, disposition, how many:", *lines]))
    assert all(disposition for _, _, disposition in seen)
    assert {kind for kind, _, _ in seen} == {"text", "media", "tap", "edit", "other", "malformed"}
