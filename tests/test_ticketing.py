"""Tickets: one per complaint whatever the desk does, and the desk's changes told once."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from bot.build import Product
from bot.complaint import desk_source
from bot.desk import Change, NewTicket, Ticket, TicketState
from bot.desks.local import LocalDesk
from bot.dialogue import Script
from bot.errors import DeskDown, DeskRefused, DeskUncertain, LeaseLost, Throttled
from bot.faults import NONE
from bot.store import complaints, conversations, cursors, tickets
from bot.store.accounts import cursor
from bot.suspects import Suspects
from bot.ticketing import Ticketing
from tests.talking import Hands, complaint_talk


class ShakyDesk(LocalDesk):
    """The local desk behind a bad line: `plan` says what the next openings do."""

    idempotent = False
    plan: list[str]
    opened = 0

    def open(self, ticket: NewTicket) -> Ticket:
        step = self.plan.pop(0) if self.plan else ""
        if step == "down":
            raise DeskDown("planned")
        if step == "refused":
            raise DeskRefused("planned")
        if step == "throttled":
            raise Throttled(0)
        if step == "lost":
            raise DeskUncertain("never arrived")
        ShakyDesk.opened += 1
        made = super().open(ticket)
        if step == "commit then time out":
            raise DeskUncertain("planned")
        return made


@pytest.fixture
def desk(product: Product) -> ShakyDesk:
    shaky = ShakyDesk(product.database)
    shaky.plan = []
    ShakyDesk.opened = 0
    return shaky


@pytest.fixture
def hands(product: Product, script: Script) -> Hands:
    script.answer = complaint_talk
    hands = Hands(product)
    hands.say("ann", "宽带断了")
    hands.say("ann", "13800138000")
    hands.tap("ann", hands.button("ann", "affirm"))
    return hands


def open_all(hands: Hands, desk: ShakyDesk) -> str:
    """Tries until nothing is due, waiting out every pause; gives the ticket's state."""
    work = Ticketing(hands.product.database, desk, hands.product.handoff, Suspects(), NONE)
    who = hands.conversation("ann").identity_id
    for _ in range(12):
        with hands.product.database.write() as db:
            filed = complaints.of_identity(db, who)[0]
            row = tickets.of_complaint(db, filed.id)
            assert row is not None
            if row.state in ("wanted", "uncertain", "opening"):
                tickets.change(db, row.id, due_at=conversations.now(db))
        if not work.open_once():
            break
    with hands.product.database.read() as db:
        row = tickets.of_complaint(db, filed.id)
    assert row is not None
    return row.state


@pytest.mark.parametrize(
    ("plan", "state", "opened"),
    [
        ([], "open", 1),
        (["down", "down"], "open", 1),
        (["throttled"], "open", 1),
        (["commit then time out"], "open", 1),
        (["refused"], "refused", 0),
    ],
)
def test_one_ticket_whatever_happens(hands: Hands, desk: ShakyDesk, plan: list[str], state: str, opened: int) -> None:
    desk.plan = list(plan)
    assert open_all(hands, desk) == state
    assert ShakyDesk.opened == opened


def test_what_may_have_been_opened_is_looked_for_and_then_given_to_a_person(hands: Hands, desk: ShakyDesk) -> None:
    desk.plan = ["lost"]
    assert open_all(hands, desk) == "uncertain"
    assert ShakyDesk.opened == 0


def test_an_idempotent_desk_is_asked_again_in_doubt(
    hands: Hands, desk: ShakyDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "idempotent", True)
    desk.plan = ["lost", "commit then time out"]
    assert open_all(hands, desk) == "open"
    assert ShakyDesk.opened == 1


def test_a_change_reaches_the_customer_once(hands: Hands, product: Product) -> None:
    with product.database.read() as db:
        filed = complaints.of_identity(db, hands.conversation("ann").identity_id)[0]
    source = desk_source("local")

    def take(changes: list[Change]) -> int:
        with product.database.write() as db:
            leased = cursors.lease(db, source, 30)
            assert leased is not None
        taken = product.complaints.take_changes(source, leased[0], changes, "7")
        with product.database.write() as db:
            cursors.release(db, source, leased[0])
        return taken

    solved = Change("7", filed.reference, TicketState.RESOLVED, filed.filed_at, note="换了光猫")
    assert take([solved]) == 1
    assert take([solved]) == 0
    hands.work()
    assert sum("换了光猫" in line for line in hands.heard("ann")) == 1
    with product.database.read() as db:
        assert complaints.read(db, filed.id).state == "resolved"


def test_a_reader_that_lost_its_lease_changes_nothing(product: Product) -> None:
    source = desk_source("local")
    with product.database.write() as db:
        leased = cursors.lease(db, source, 30)
        assert leased is not None
        cursors.release(db, source, leased[0])
    with pytest.raises(LeaseLost):
        product.complaints.take_changes(source, leased[0], [], "9")


def test_a_silent_desk_is_said(product: Product, hands: Hands) -> None:
    with product.database.write() as db:
        leased = cursors.lease(db, desk_source("local"), 30)
        assert leased is not None
        cursors.advance(db, desk_source("local"), leased[0], "1")
        db.execute(update(cursor).values(updated_at=conversations.now(db) - timedelta(hours=1)))
    hands.say("ann", "status 呢")
    assert "连不上" in hands.heard("ann")[-1]
