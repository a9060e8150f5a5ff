"""Without the protections of accept, order and turn."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from alembic import command
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection

from bot.channel import Account
from bot.inbox import Accepted, Inbox
from bot.message import Incoming
from bot.sender import Sender
from bot.store import conversations, cursors, leases
from bot.store import outbox as store
from bot.store.conversations import Conversation
from bot.store.turns import TurnRow
from bot.worker import Turns
from tests.chaos.mutants.mutant import Mutant

_POINTS = "tests/chaos/test_points.py::test_a_death_here_costs_nothing"


def _no_unique_key(patch: pytest.MonkeyPatch) -> None:
    """Every scratch database loses the key right after its migrations."""
    upgrade = command.upgrade

    def upgrade_and_drop(config: Any, revision: str) -> None:
        upgrade(config, revision)
        with config.attributes["engine"].connect() as db:
            operations = Operations(MigrationContext.configure(db))
            with operations.batch_alter_table("inbox") as table:
                table.drop_constraint("uq_inbox_account_id_event_key", type_="unique")
            db.commit()

    patch.setattr(command, "upgrade", upgrade_and_drop)


def _acknowledge_first(patch: pytest.MonkeyPatch) -> None:
    accept = Inbox.accept

    def later(self: Inbox, account: Account, incoming: Incoming) -> Accepted:
        threading.Timer(0.2, accept, (self, account, incoming)).start()
        return Accepted(False)

    patch.setattr(Inbox, "accept", later)


def _cursor_first(patch: pytest.MonkeyPatch) -> None:
    accept_batch = Inbox.accept_batch

    def apart(
        self: Inbox, account: Account, events: Sequence[Incoming], position: tuple[str, int, str] | None = None
    ) -> list[Accepted]:
        if position is not None:
            with self._database.write() as db:
                cursors.advance(db, *position)
        return accept_batch(self, account, events)

    patch.setattr(Inbox, "accept_batch", apart)


def _no_leases(patch: pytest.MonkeyPatch) -> None:
    """Whoever looks takes what is due, and nobody asks later whether it is still theirs."""

    def claim(db: Connection, _seconds: float) -> Conversation | None:
        c = conversations.conversation.c
        row = db.execute(conversations.conversation.select().where(c.work_at <= conversations.now(db))).first()
        return None if row is None else conversations.lock(db, row.id)

    patch.setattr(leases, "claim_work", claim)
    patch.setattr(leases, "renew_work", lambda *_: True)


def _stale_turns_count(patch: pytest.MonkeyPatch) -> None:
    def commit(self: Turns, leased: Conversation, turn: TurnRow, said: Any) -> None:
        with self._database.write() as db:
            self._commands.commit(db, self._locked(db, leased), turn, said)

    patch.setattr(Turns, "_commit", commit)


def _send_again(patch: pytest.MonkeyPatch) -> None:
    def settle(self: Sender, db: Connection, leased: Conversation) -> None:
        for row in store.in_state(db, leased.id, "sending"):
            store.settle(db, row.id, "sending", state="pending")

    patch.setattr(Sender, "_settle_orphans", settle)


MUTANTS: dict[str, Mutant] = {
    "unique key": Mutant(
        "the unique key of inbox (account, event key)",
        _no_unique_key,
        "tests/chaos/test_same_event.py::test_many_hands_bring_the_same_events[sqlite]",
    ),
    "commit before 200": Mutant(
        "the commit before a platform's 200",
        _acknowledge_first,
        f"{_POINTS}[sqlite-accept before commit]",
    ),
    "cursor with its events": Mutant(
        "the one commit of a polled channel's events and its cursor",
        _cursor_first,
        f"{_POINTS}[sqlite-fetch before commit]",
    ),
    "conversation claim": Mutant(
        "the lease and the token with which one worker has a conversation",
        _no_leases,
        "tests/chaos/test_turns.py::test_a_conversation_is_answered_by_one_worker_at_a_time[sqlite]",
    ),
    "stale epoch discards commands": Mutant(
        "the check of the epoch in a turn's commit",
        _stale_turns_count,
        "tests/chaos/test_turns.py::test_a_turn_of_an_earlier_epoch_has_no_effect[sqlite]",
    ),
    "a dead sender's message is uncertain": Mutant(
        "the doubt about a message whose sender died in the middle of the call",
        _send_again,
        f"{_POINTS}[sqlite-sent]",
    ),
}
