"""Without the protections of ownership: who answers, and who takes a message."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, update

from bot import inbox as accept
from bot import outbox, worker
from bot.conversation import Ownership
from bot.errors import Newer
from bot.store import conversations
from bot.store import inbox as store
from bot.store.conversations import Conversation
from tests.chaos.mutants.mutant import Mutant

_PATH = "tests/test_path.py"
_SENDING = "tests/test_sending.py"
_RESPONDER = "tests/chaos/test_one_responder.py"
_WINNER = "tests/chaos/test_one_winner.py"


def _everything_may_go(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(outbox, "fate", lambda row, conversation: "sent")


def _claims_do_not_wait(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Ownership, "_wait_for_sends", lambda self, conversation_id, flying: 0)


def _moves_without_comparing(patch: pytest.MonkeyPatch) -> None:
    """Every claim believes the page, and the epoch is only counted."""

    def move(db: Connection, conversation_id: int, seen_epoch: int, **values: Any) -> bool:
        table = conversations.conversation
        db.execute(update(table).where(table.c.id == conversation_id).values(epoch=table.c.epoch + 1, **values))
        return True

    claim = Ownership.claim
    locked = Ownership._locked

    def believing(self: Ownership, conversation_id: int, seen_epoch: int, user: Any) -> Any:
        def as_seen(self: Ownership, db: Connection, wanted: int) -> Conversation:
            return replace(locked(self, db, wanted), epoch=seen_epoch, state="queued", owner_id=None)

        vars(self)["_locked"] = as_seen.__get__(self)
        return claim(self, conversation_id, seen_epoch, user)

    patch.setattr(conversations, "move", move)
    patch.setattr(Ownership, "claim", believing)


def _late_answers_count(patch: pytest.MonkeyPatch) -> None:
    def commit(self: worker.Turns, leased: Conversation, turn: Any, said: Any) -> None:
        with self._database.write() as db:
            self._commands.commit(db, self._locked(db, leased), turn, said)

    patch.setattr(worker.Turns, "_commit", commit)


def _wishes_wait_for_the_turn(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(accept, "wishes_person", lambda incoming, text: False)


def _a_message_is_taken_again(patch: pytest.MonkeyPatch) -> None:
    def take(db: Connection, conversation_id: int, up_to: int, user_id: int, at: Any) -> int:
        done = db.execute(
            update(store.inbox)
            .where(store.inbox.c.conversation_id == conversation_id, store.inbox.c.sequence <= up_to)
            .values(disposition=store.BY_PERSON, taken_by=user_id, taken_at=at)
        )
        return int(done.rowcount)

    patch.setattr(store, "take_for_person", take)


def _closes_over_what_is_new(patch: pytest.MonkeyPatch) -> None:
    close = Ownership.close
    rows = store.open_rows

    def blind(self: Ownership, *args: Any) -> None:
        try:
            close(self, *args)
        except Newer:
            with pytest.MonkeyPatch.context() as nothing_open:
                nothing_open.setattr(store, "open_rows", lambda db, conversation_id, **more: [])
                close(self, *args)
            assert store.open_rows is rows

    patch.setattr(Ownership, "close", blind)


MUTANTS: dict[str, Mutant] = {
    "everything-may-go": Mutant(
        "the fate of a row at the instant of sending",
        _everything_may_go,
        f"{_SENDING}::test_a_notice_that_an_agent_lets_go_survives_a_pause_but_not_the_agent[sqlite]",
    ),
    "claims-do-not-wait": Mutant(
        "the claim's wait for sends in flight",
        _claims_do_not_wait,
        f"{_WINNER}::test_after_a_clean_claim_the_bot_is_silent[sqlite-short]",
    ),
    "moves-without-comparing": Mutant(
        "compare-and-set of the epoch",
        _moves_without_comparing,
        f"{_WINNER}::test_of_twenty_agents_one_wins[sqlite-short]",
    ),
    "late-answers-count": Mutant(
        "discarding a turn, commands included, whose epoch is over",
        _late_answers_count,
        f"{_RESPONDER}::test_a_wish_is_heard_while_a_turn_hangs[sqlite]",
    ),
    "wishes-wait-for-the-turn": Mutant(
        "hearing a wish when it is accepted",
        _wishes_wait_for_the_turn,
        f"{_RESPONDER}::test_a_wish_is_heard_while_a_turn_hangs[sqlite]",
    ),
    "taken-again": Mutant(
        "each message is taken once",
        _a_message_is_taken_again,
        f"{_RESPONDER}::test_each_message_has_one_taker_while_agents_come_and_go[sqlite]",
    ),
    "closes-over-what-is-new": Mutant(
        "no close over what the page did not show",
        _closes_over_what_is_new,
        f"{_PATH}::test_a_later_message_is_the_bots_next_turn_after_release[sqlite]",
    ),
}
