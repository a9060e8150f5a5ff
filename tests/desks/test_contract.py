"""What every ticket desk promises (bot/desk.py), asked of each desk in DESKS on both databases."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

import bot.desks
from bot.desk import FINAL_STATES, Desk, NewTicket, TicketState
from bot.desks import DESKS
from bot.desks.local import LocalDesk
from bot.errors import DeskDown, DeskRefused, DeskUncertain
from bot.store import tickets as store
from bot.store.database import Database

REFERENCE = "TS7K3M-9QWXA4"
OPEN_STATES = [state for state in TicketState if state not in FINAL_STATES and state is not TicketState.ACKNOWLEDGED]


def wanted(reference: str = REFERENCE, summary: str = "宽带三天两头断线") -> NewTicket:
    return NewTicket(
        reference=reference,
        category="broadband.disconnection",
        severity="medium",
        summary=summary,
        language="zh",
        received_at=datetime(2026, 11, 23, 8, 0, tzinfo=UTC),
        fields={"what": summary},
    )


@pytest.fixture(params=sorted(DESKS))
def desk(request: pytest.FixtureRequest, database: Database) -> Desk:
    return DESKS[request.param](database)


def test_the_registry_names_the_files() -> None:
    files = {path.stem for path in Path(bot.desks.__path__[0]).glob("*.py")} - {"__init__"}
    assert {kind: kind in files for kind in DESKS} == dict.fromkeys(DESKS, True)
    assert files == set(DESKS)


def test_kind_is_the_registered_one(desk: Desk) -> None:
    assert desk.kind in DESKS


def test_opening_twice_gives_the_same_ticket(desk: Desk) -> None:
    first = desk.open(wanted())
    again = desk.open(wanted(summary="something else"))
    assert again == first
    assert first.state is TicketState.ACKNOWLEDGED
    assert first.updated_at.tzinfo is not None
    assert len(desk.changes("")[0]) == 1


def test_found_by_reference_and_read_by_id(desk: Desk) -> None:
    opened = desk.open(wanted())
    assert desk.find(REFERENCE) == opened
    assert desk.read(opened.ticket_id) == opened
    assert desk.find("TS0000-000000") is None


@pytest.mark.parametrize("ticket_id", ["", "0", "-1", "999999", "x", "٣", "1 ", "9" * 40, "1\x00"])
def test_an_unknown_ticket_is_refused(desk: Desk, ticket_id: str) -> None:
    for ask in (
        lambda: desk.read(ticket_id),
        lambda: desk.comment(ticket_id, "hello", public=True),
        lambda: desk.set_state(ticket_id, TicketState.RESOLVED, "", "user:1"),
    ):
        with pytest.raises(DeskRefused, match="ticket"):
            ask()


def test_a_move_reaches_the_customer_through_the_changes(desk: Desk) -> None:
    opened = desk.open(wanted())
    _, cursor = desk.changes("")
    moved = desk.set_state(opened.ticket_id, TicketState.RESOLVED, "线路已更换", "user:1")
    changes, after = desk.changes(cursor)
    assert moved.state is TicketState.RESOLVED
    assert [(c.reference, c.state, c.note, c.own) for c in changes] == [
        (REFERENCE, TicketState.RESOLVED, "线路已更换", False)
    ]
    assert desk.changes(after) == ([], after)


def test_our_own_opening_is_marked(desk: Desk) -> None:
    desk.open(wanted())
    [change] = desk.changes("")[0]
    assert change.own and not change.note


def test_only_public_comments_are_changes(desk: Desk) -> None:
    opened = desk.open(wanted())
    _, cursor = desk.changes("")
    desk.comment(opened.ticket_id, "customer sounds upset", public=False)
    desk.comment(opened.ticket_id, "我们明天上门", public=True)
    changes, _ = desk.changes(cursor)
    assert [(c.note, c.state) for c in changes] == [("我们明天上门", TicketState.ACKNOWLEDGED)]


@pytest.mark.parametrize("words", ["", " \n"])
def test_an_empty_comment_is_refused(desk: Desk, words: str) -> None:
    opened = desk.open(wanted())
    with pytest.raises(DeskRefused):
        desk.comment(opened.ticket_id, words, public=True)


@pytest.mark.parametrize("final", sorted(FINAL_STATES))
def test_a_final_state_is_final(desk: Desk, final: TicketState) -> None:
    opened = desk.open(wanted())
    desk.set_state(opened.ticket_id, final, "", "user:1")
    with pytest.raises(DeskRefused, match="stays so"):
        desk.set_state(opened.ticket_id, TicketState.IN_PROGRESS, "", "user:1")
    assert desk.read(opened.ticket_id).state is final


@pytest.mark.parametrize("state", OPEN_STATES)
def test_open_states_lead_anywhere_but_back_to_the_start(desk: Desk, state: TicketState) -> None:
    opened = desk.open(wanted())
    assert desk.set_state(opened.ticket_id, state, "", "user:1").state is state
    with pytest.raises(DeskRefused, match="new again"):
        desk.set_state(opened.ticket_id, TicketState.ACKNOWLEDGED, "", "user:1")
    assert desk.set_state(opened.ticket_id, TicketState.CLOSED, "", "user:1").state is TicketState.CLOSED


def test_change_ids_are_unique_and_stay_the_same_when_repeated(desk: Desk) -> None:
    for number in range(5):
        desk.open(wanted(f"TS0000-00000{number}"))
    first, repeated = desk.changes("")[0], desk.changes("")[0]
    assert [c.change_id for c in first] == [c.change_id for c in repeated]
    assert len({c.change_id for c in first}) == 5


def test_more_changes_than_one_answer_holds(desk: Desk) -> None:
    opened = desk.open(wanted())
    for number in range(210):
        desk.set_state(opened.ticket_id, TicketState.IN_PROGRESS, f"{number}", "user:1")
    seen, cursor = [], ""
    while (batch := desk.changes(cursor))[0]:
        seen += [change.note for change in batch[0]]
        cursor = batch[1]
    assert seen == ["", *(f"{number}" for number in range(210))]


@pytest.mark.parametrize("words", ["\x00", "a\x00b", "\ud83d", "\u202e", "x" * 20_000, "😀" * 5_000])
def test_hostile_words_are_kept_or_refused(desk: Desk, words: str) -> None:
    try:
        opened = desk.open(wanted(summary=words))
        desk.set_state(opened.ticket_id, TicketState.PENDING, words, "user:1")
        desk.comment(opened.ticket_id, words, public=False)
    except DeskRefused:
        pass


def test_writers_side_by_side_leave_no_gap_in_the_changes(desk: Desk) -> None:
    """A reader that runs along sees every change, though several write at once."""
    opened = [desk.open(wanted(f"TS0000-00000{number}")) for number in range(4)]
    _, cursor = desk.changes("")

    def write(ticket_id: str) -> None:
        for _ in range(10):
            desk.set_state(ticket_id, TicketState.IN_PROGRESS, "", "user:1")

    writers = [threading.Thread(target=write, args=(ticket.ticket_id,)) for ticket in opened]
    for writer in writers:
        writer.start()
    seen = 0
    while any(writer.is_alive() for writer in writers):
        batch, cursor = desk.changes(cursor)
        seen += len(batch)
    seen += len(desk.changes(cursor)[0])
    assert seen == 40


class TestLocalDeskWithoutItsDatabase:
    """What the local desk says when the database fails: down while nothing can have happened, then uncertain."""

    @pytest.fixture
    def local(self, database: Database) -> LocalDesk:
        return LocalDesk(database)

    def test_down_before_the_commit(self, local: LocalDesk, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*args: object, **values: object) -> None:
            raise OperationalError("insert", {}, Exception("disk full"))

        monkeypatch.setattr(store, "local_write", fail)
        with pytest.raises(DeskDown):
            local.open(wanted())
        assert local.find(REFERENCE) is None

    def test_uncertain_in_the_commit(self, local: LocalDesk, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*args: object) -> None:
            raise OperationalError("commit", {}, Exception("connection lost"))

        monkeypatch.setattr(local._database.engine.dialect, "do_commit", fail)
        with pytest.raises(DeskUncertain):
            local.open(wanted())

    def test_reading_is_down(self, local: LocalDesk, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(db: Connection, after: int) -> None:
            raise OperationalError("select", {}, Exception("connection lost"))

        monkeypatch.setattr(store, "local_entries", fail)
        with pytest.raises(DeskDown):
            local.changes("")
