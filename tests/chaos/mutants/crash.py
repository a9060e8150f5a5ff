"""Without the protections of accept, order and turn."""

from typing import Any

import pytest
from alembic import command
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection

from bot.store import conversations, leases
from bot.store.conversations import Conversation
from bot.store.turns import TurnRow
from bot.worker import Turns
from tests.chaos.mutants.mutant import Mutant


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


MUTANTS: dict[str, Mutant] = {
    "unique key": Mutant(
        "the unique key of inbox (account, event key)",
        _no_unique_key,
        "tests/chaos/test_same_event.py::test_many_hands_bring_the_same_events[sqlite]",
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
}
