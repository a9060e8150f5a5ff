"""The tables: migrations, both databases' guarantees, and the list of personal columns."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import JSON, LargeBinary, Text, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from bot.store import accounts, conversations, cursors, facts, leases, letters, people, sql
from bot.store.conversations import Conversation
from bot.store.database import Database, is_current, upgrade, writable
from bot.store.metadata import metadata
from bot.store.personal import IMPERSONAL, PERSONAL


def a_conversation(database: Database, who: str = "ann") -> Conversation:
    with database.write() as db:
        account = accounts.seed(db, "screen", "main", settings={}, secret="")
        someone = people.ensure_identity(db, account.id, who)
        return conversations.ensure(db, someone.id, account.id, "zh")


def test_migrations_make_exactly_the_tables_of_the_code(database: Database) -> None:
    with database.read() as db:
        assert compare_metadata(MigrationContext.configure(db), metadata) == []
    assert is_current(database) and writable(database)
    upgrade(database)


def test_sqlite_is_as_durable_as_promised(database: Database) -> None:
    if not database.sqlite:
        with database.read() as db:
            assert db.scalar(text("SHOW synchronous_commit")) == "on"
        return
    with database.read() as db:
        assert db.scalar(text("PRAGMA journal_mode")) == "wal"
        assert db.scalar(text("PRAGMA synchronous")) == 2
        assert db.scalar(text("PRAGMA foreign_keys")) == 1


def test_times_come_back_aware_and_naive_ones_are_refused(database: Database) -> None:
    made = a_conversation(database)
    moment = datetime(2026, 2, 28, 23, 59, 59, 5, tzinfo=UTC)
    with database.write() as db:
        conversations.change(db, made.id, queued_at=moment)
        found = conversations.read(db, made.id)
    assert found is not None and found.queued_at == moment
    with pytest.raises(StatementError), database.write() as db:
        conversations.change(db, made.id, queued_at=datetime(2026, 2, 28))  # noqa: DTZ001 - what is refused here


def test_the_databases_clock_moves_and_compares(database: Database) -> None:
    with database.write() as db:
        first = conversations.now(db)
        assert abs(first - datetime.now(UTC)) < timedelta(minutes=1)
        assert conversations.now(db) >= first


def test_a_lease_is_one_workers_until_it_ends(database: Database) -> None:
    made = a_conversation(database)
    with database.write() as db:
        leases.wake(db, made.id)
    with database.write() as db:
        mine = leases.claim_work(db, 30)
        assert mine is not None and leases.claim_work(db, 30) is None
        assert leases.renew_work(db, made.id, mine.lease_token, 30)
        conversations.change(db, made.id, lease_until=conversations.now(db) - timedelta(seconds=1))
        assert not leases.renew_work(db, made.id, mine.lease_token, 30)
        second = leases.claim_work(db, 30)
        assert second is not None and second.lease_token == mine.lease_token + 1
        assert not leases.release_work(db, made.id, mine.lease_token, None)
        assert leases.release_work(db, made.id, second.lease_token, None)
        assert leases.claim_work(db, 30) is None


def test_moves_are_compare_and_set(database: Database) -> None:
    made = a_conversation(database)
    with database.write() as db:
        assert conversations.move(db, made.id, made.epoch, state="closed", owner_id=None)
        assert not conversations.move(db, made.id, made.epoch, state="bot", owner_id=None)


def test_an_agent_without_a_name_is_impossible(database: Database) -> None:
    made = a_conversation(database)
    with pytest.raises(IntegrityError), database.write() as db:
        conversations.change(db, made.id, state="agent")


def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    def seed_and_break() -> None:
        with database.write() as db:
            accounts.seed(db, "screen", "other", settings={}, secret="")
            db.execute(text("SELECT * FROM no_such_table"))

    with pytest.raises(DBAPIError):
        seed_and_break()
    with database.read() as db:
        assert accounts.by_slug(db, "screen", "other") is None


def test_what_is_read_is_not_kept(database: Database) -> None:
    with database.read() as db:
        sql.insert_new(db, accounts.cursor, source="x", position="", lease_token=0, updated_at=datetime.now(UTC))
    with database.read() as db:
        assert db.execute(select(accounts.cursor).where(accounts.cursor.c.source == "x")).first() is None


def test_a_cursor_belongs_to_one_reader(database: Database) -> None:
    with database.write() as db:
        first = cursors.lease(db, "s", 30)
        assert first is not None and cursors.lease(db, "s", 30) is None
        assert cursors.advance(db, "s", first[0], "5")
        cursors.release(db, "s", first[0])
        assert not cursors.advance(db, "s", first[0], "6")
        second = cursors.lease(db, "s", 30)
        assert second is not None and second[1] == "5"


def test_facts_are_in_order(database: Database) -> None:
    with database.write() as db:
        for n in range(3):
            facts.add(db, kind=f"k{n}", version=1, occurred_at=conversations.now(db), actor="system", refs={})
        assert [fact.kind for fact in facts.after(db, facts.newest(db) - 2)] == ["k1", "k2"]


def test_every_free_column_is_listed_as_personal_or_not() -> None:
    for table in metadata.sorted_tables:
        free = {c.name for c in table.columns if isinstance(c.type, (Text, JSON, LargeBinary)) and _unbounded(c.type)}
        known = PERSONAL.get(table.name, frozenset()) | IMPERSONAL.get(table.name, frozenset())
        assert free <= known, table.name
        assert known <= {c.name for c in table.columns}, table.name


def _unbounded(kind: object) -> bool:
    return getattr(kind, "length", None) is None


def test_what_stopped_before_the_migration_has_its_time(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/old.sqlite3")
    upgrade(database, "0001")
    when = "2026-02-28 23:59:59.000000"
    with database.write() as db:
        for statement in (
            "INSERT INTO channel_account VALUES (1, 'screen', 'main', :none, '', '', :at)",
            "INSERT INTO identity (id, account_id, external_id, created_at) VALUES (1, 1, 'ann', :at)",
            "INSERT INTO conversation (id, identity_id, account_id, state, epoch, next_sequence, next_stream, language,"
            " dialogue, lease_token, send_lease_token, created_at) VALUES (1, 1, 1, 'bot', 1, 1, 1, 'zh', :none, 0, 0, :at)",
            "INSERT INTO outbox (id, conversation_id, key, part, class_, topic, epoch, text_key, args, text, buttons,"
            " question, state, reason, attempts, pieces_sent, due_at, created_at, platform_id) VALUES"
            " (1, 1, 'k', 0, 'notice', '', 1, '', :none, 'x', '[]', '', 'dead', 'blocked', 1, 0, :at, :at, '')",
        ):
            db.execute(text(statement), {"at": when, "none": "{}"})
    upgrade(database)
    with database.read() as db:
        (letter,) = letters.find(db, letters.Which())
    assert letter.at == datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)
    database.close()
