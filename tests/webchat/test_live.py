"""The reader of facts: everything told once, late commits too, slow pages cut, Redis not needed."""

import time
from collections.abc import Iterator

import pytest

from bot import facts, live
from bot.bell import Bell
from bot.live import FactCursor, Live, Subscription
from bot.store import facts as store
from bot.store.database import Database


@pytest.fixture
def reader(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    """Without Redis; looks ten times a second."""
    monkeypatch.setattr(live, "TICK", 0.1)
    made = Live(database, Bell(""), room=5)
    yield made
    made.close()


def _record(database: Database, kind: str, conversation_id: int | None = None) -> None:
    with database.write() as db:
        facts.record(db, kind, conversation_id=conversation_id)


def _told(page: Subscription, count: int) -> list[str]:
    found = [page.next(3.0) for _ in range(count)]
    return [fact.kind for fact in found if fact is not None]


def test_a_page_hears_of_its_conversation_only(database: Database, reader: Live) -> None:
    _record(database, "before", 1)
    with reader.subscribe(conversation_id=1) as page, reader.subscribe() as queue:
        for kind, conversation_id in [("one", 1), ("two", 2), ("three", 1), ("four", None)]:
            _record(database, kind, conversation_id)
        assert _told(page, 2) == ["one", "three"]
        assert _told(queue, 4) == ["one", "two", "three", "four"]
        assert page.next(0.3) is None


def test_a_slow_page_is_cut_and_the_others_are_not(database: Database, reader: Live) -> None:
    slow, quick = reader.subscribe(conversation_id=1), reader.subscribe(conversation_id=2)
    for number in range(8):
        _record(database, f"fact{number}", 1)
    _record(database, "other", 2)
    assert _told(quick, 1) == ["other"]
    assert slow.cut and not quick.cut
    assert _told(slow, 6) == [f"fact{number}" for number in range(5)], "what was queued still comes"
    started = time.monotonic()
    assert slow.next(5.0) is None
    assert time.monotonic() - started < 1, "a cut page does not wait"


def test_a_closed_page_is_forgotten(reader: Live) -> None:
    page = reader.subscribe(conversation_id=1)
    page.close()
    page.close()
    assert not reader._pages


def test_a_drained_page_hears_what_comes_after(database: Database, reader: Live) -> None:
    with reader.subscribe(conversation_id=1) as page:
        _record(database, "one", 1)
        assert page.next(3.0) is not None
        _record(database, "two", 1)
        time.sleep(0.4)
        page.drain()
        _record(database, "three", 1)
        assert _told(page, 1) == ["three"]


def test_the_cursor_gives_each_fact_once(database: Database) -> None:
    cursor = FactCursor(database)
    for number in range(3):
        _record(database, f"fact{number}")
    assert [fact.kind for fact in cursor.fresh()] == ["fact0", "fact1", "fact2"]
    assert cursor.fresh() == []


def test_more_than_a_page_of_facts_comes_at_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_PAGE", 3)
    cursor = FactCursor(database)
    for number in range(8):
        _record(database, f"fact{number}")
    assert len(cursor.fresh()) == 8


def test_what_commits_late_and_out_of_order_is_told_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    if database.sqlite:
        pytest.skip("SQLite has one writer: numbers appear in order")
    monkeypatch.setattr(live, "TICK", 0.0)
    cursor = FactCursor(database, overlap=60.0)
    with database.write() as late:
        facts.record(late, "late")
        _record(database, "early")
        assert [fact.kind for fact in cursor.fresh()] == ["early"]
        assert cursor.fresh() == []
    assert [fact.kind for fact in cursor.fresh()] == ["late"]
    assert cursor.fresh() == []


def test_after_the_overlap_nothing_is_read_again(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "TICK", 0.0)
    cursor = FactCursor(database, overlap=0.05)
    _record(database, "one")
    assert len(cursor.fresh()) == 1
    time.sleep(0.1)
    cursor.fresh()
    with database.read() as db:
        assert cursor._low == store.newest(db)
    assert not cursor._seen


def test_pages_survive_a_database_that_is_away(
    database: Database, reader: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reader.subscribe(conversation_id=1) as page:
        engine = database.engine
        monkeypatch.setattr(database, "engine", _Away())
        time.sleep(0.4)
        monkeypatch.setattr(database, "engine", engine)
        _record(database, "afterwards", 1)
        assert _told(page, 1) == ["afterwards"]


class _Away:
    """An engine that cannot connect."""

    def connect(self) -> None:
        from sqlalchemy.exc import OperationalError

        raise OperationalError("", {}, ConnectionError("away"))
