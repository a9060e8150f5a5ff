"""After a restore nothing is sent or opened twice; and a worker or a door that is told to stop does so soon."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from bot import gunicorn_conf, outbox
from bot.build import Product
from bot.dialogue import Script
from bot.restored import set_aside
from bot.store import conversations, tickets
from bot.store import outbox as store
from bot.store.inbox import inbox
from tests.talking import Hands, chat, complaint_talk, tap, text
from tests.test_sending import FakeChannel
from webhooks import create_app


def test_what_was_waiting_in_the_backup_is_not_sent_by_itself(product: Product) -> None:
    channel, screen = FakeChannel(), product.accounts["screen", "main"]
    product.channels._made[screen.id] = channel
    hands = Hands(product)
    accepted = product.inbox.accept(screen, text("ann", "hello"))
    hands.turns.work_once()
    product.inbox.accept(chat(product), text("web", "hello"))
    hands.turns.work_once()
    found = set_aside(product.database, product.channels)
    assert (found.messages, found.unanswered) == (1, 0)
    hands.work()
    assert channel.arrived == []
    with product.database.read() as db:
        rows = store.history(db, accepted.conversation_id or 0)
    assert [(row.state, row.reason) for row in rows] == [("uncertain", "restored")]
    assert hands.heard("web"), "the web chat only shows what the database has"
    assert set_aside(product.database, product.channels).messages == 0
    product.inbox.accept(screen, text("ann", "still there?"))
    hands.work()
    told = {out.key.rsplit(".", 2)[0] for out in channel.arrived}
    assert told and told.isdisjoint(row.key for row in rows), "only what is new goes out"


def test_a_receipt_is_said_once_more_before_the_next_message(product: Product) -> None:
    channel, screen = FakeChannel(), product.accounts["screen", "main"]
    product.channels._made[screen.id] = channel
    with product.database.write() as db:
        product.inbox._accept(db, screen, text("ann", "hello"))
        talk = conversations.recent(db)[0]
        args = {"reference": "TS-1", "code": "1234", "due_at": "2026-12-01T00:00:00+00:00"}
        outbox.notice(db, talk, "receipt:1", "receipt", "receipt.filed", args=args)
    set_aside(product.database, product.channels)
    with product.database.read() as db:
        assert [row.topic for row in store.in_state(db, talk.id, "held")] == ["receipt_repeat"]


def test_the_desk_is_searched_before_a_ticket_is_opened(
    product: Product, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ticket was opened after the backup was taken; the restored database knows nothing of it."""
    script.answer = complaint_talk
    hands = Hands(product)
    for words in ("宽带断了", "13800138000"):
        hands.say("ann", words)
    product.inbox.accept(chat(product), tap("ann", hands.button("ann", "affirm")))
    hands.work()
    assert product.ticketing().open_once()
    with product.database.write() as db:  # back to the backup
        db.execute(
            tickets.ticket.update().values(state="wanted", attempts=0, due_at=conversations.now(db), ticket_id="")
        )
    assert set_aside(product.database, product.channels).tickets == 1
    opened: list[object] = []
    monkeypatch.setattr(product.desk, "open", opened.append)
    assert product.ticketing().open_once()
    assert opened == [], "it was there already"
    with product.database.read() as db:
        row = db.execute(tickets.ticket.select()).one()
        local = db.execute(tickets.local_ticket.select()).all()
    assert row.state == "open" and len(local) == 1


def test_a_worker_that_is_told_to_stop_finishes_its_turn_and_no_other(product: Product, script: Script) -> None:
    turns = product.turns()
    turns.stopping = lambda: bool(script.asked)
    for number in range(2):
        product.inbox.accept(chat(product), text("ann", f"hello {number}"))
    with product.database.write() as db:
        earlier = conversations.now(db) - timedelta(seconds=5)  # two turns, not a burst
        db.execute(inbox.update().where(inbox.c.sequence == 1).values(received_at=earlier))
    assert turns.work_once()
    assert len(script.asked) == 1
    with product.database.read() as db:
        (talk,) = conversations.recent(db)
        until = db.scalar(
            conversations.conversation.select().with_only_columns(conversations.conversation.c.lease_until)
        )
    assert until is None and talk.work_at is not None, "the rest is given back at once"


def test_a_door_that_is_told_to_stop_is_not_ready(product: Product) -> None:
    app = create_app(product)
    worker = SimpleNamespace(wsgi=app, alive=True)
    gunicorn_conf.post_worker_init(worker)
    client = app.test_client()
    assert client.get("/ready").status_code == 200
    worker.alive = False
    answer = client.get("/ready")
    assert answer.status_code == 503 and answer.get_json()["checks"]["staying"] is False
