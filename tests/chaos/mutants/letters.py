"""Poison and letters without their protections."""

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, Table, delete, update

from bot.store import letters as store
from bot.store import outbox, turns
from bot.suspects import Suspects
from tests.chaos.mutants.mutant import Mutant


def _count_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(turns, "count_start", lambda db, turn_id, by=1: None)


def _take_whatever(patch: pytest.MonkeyPatch) -> None:
    def take(db: Connection, kind: str, letter_id: int, **values: Any) -> bool:
        table = store.TABLES[kind][0]
        return db.execute(update(table).where(table.c.id == letter_id).values(**values)).rowcount == 1

    patch.setattr(store, "take", take)
    # The look before the write is no protection against somebody at the same moment: it has seen the old state.
    patch.setattr(outbox, "read", _as_it_was(outbox.read))


def _as_it_was(read: Any) -> Any:
    def reading(db: Connection, row_id: int) -> Any:
        row = read(db, row_id)
        return replace(row, state="dead") if row is not None else None

    return reading


def _discard_for_good(patch: pytest.MonkeyPatch) -> None:
    kept = store.take

    def take(db: Connection, kind: str, letter_id: int, **values: Any) -> bool:
        if "discarded_at" not in values:
            return kept(db, kind, letter_id, **values)
        table: Table = store.TABLES[kind][0]
        return db.execute(delete(table).where(table.c.id == letter_id)).rowcount == 1

    patch.setattr(store, "take", take)


def _everybody_beside_everybody(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Suspects, "alone", lambda self, suspected: nullcontext(True))


MUTANTS: dict[str, Mutant] = {
    "poison-uncounted": Mutant(
        "a turn's attempts are counted before the work",
        _count_nothing,
        "tests/test_poison.py::test_five_deaths_are_enough_and_a_person_has_it[sqlite]",
    ),
    "bystanders-beside-poison": Mutant(
        "what a process may have died over is done one at a time",
        _everybody_beside_everybody,
        "tests/test_poison.py::test_a_suspect_waits_for_the_other_one_uncounted[sqlite]",
    ),
    "replay-blind": Mutant(
        "a letter is sent again only from the state that it stopped in",
        _take_whatever,
        "tests/test_letters.py::test_it_is_sent_again_once_however_many_want_it[sqlite]",
    ),
    "discard-deletes": Mutant(
        "a letter that is let go keeps its row",
        _discard_for_good,
        "tests/test_letters.py::test_a_discarded_one_keeps_its_row_and_its_line[sqlite]",
    ),
}
