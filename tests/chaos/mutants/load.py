"""Load and hostile input without their protections."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, select

from bot import turn
from bot.store import leases
from bot.store.conversations import COLUMNS, Conversation, conversation, now, row_of
from tests.chaos.mutants.mutant import Mutant
from webhooks import body


def _newest_first(patch: pytest.MonkeyPatch) -> None:
    """The same claim, but of whoever became due last."""
    claim = leases.claim_work

    def newest(db: Connection, seconds: float) -> Conversation | None:
        due = select(*COLUMNS).where(conversation.c.work_at <= now(db)).order_by(conversation.c.work_at.desc()).limit(1)
        row = db.execute(due).first()
        if row is None:
            return None
        chosen = row_of(row)
        others = conversation.update().where(conversation.c.id != chosen.id, conversation.c.work_at.is_not(None))
        kept = {
            id_: at for id_, at in db.execute(select(conversation.c.id, conversation.c.work_at)) if id_ != chosen.id
        }
        db.execute(others.values(work_at=None))
        leased = claim(db, seconds)
        for id_, at in kept.items():
            db.execute(conversation.update().where(conversation.c.id == id_).values(work_at=at))
        return replace(leased) if leased is not None else None

    patch.setattr(leases, "claim_work", newest)


def _no_cap(patch: pytest.MonkeyPatch) -> None:
    kept = body.take

    def take(limit: int) -> None:
        kept(100 * 1024 * 1024)

    patch.setattr(body, "take", take)


def _one_by_one(patch: pytest.MonkeyPatch) -> None:
    def first(rows: Any, clock: Any) -> Any:
        return rows[:1]

    patch.setattr(turn, "_together", first)


MUTANTS: dict[str, Mutant] = {
    "newest first": Mutant(
        "the conversation that has waited longest is answered first",
        _newest_first,
        "tests/test_pressure.py::test_a_crowd_that_never_stops_writing_keeps_nobody_waiting[sqlite]",
    ),
    "no body cap": Mutant(
        "a door reads no more of a body than it takes",
        _no_cap,
        "tests/webchat/test_hostile.py::test_the_body_cap_is_the_doors_own[sqlite]",
    ),
    "message by message": Mutant(
        "what waited too long is answered in one turn",
        _one_by_one,
        "tests/test_pressure.py::test_what_waited_too_long_is_one_turn_up_to_a_bound[sqlite]",
    ),
}
