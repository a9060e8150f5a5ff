"""Without the protections against outside peers that fail: the desk, the platform, Rasa."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection

from bot import desk_pause, dialogue, outbox
from bot.dialogue import Said
from bot.sender import Letter, Sender
from bot.store import outbox as rows
from bot.store import tickets
from bot.store.outbox import OutboxRow
from bot.store.tickets import TicketRow
from tests.chaos.mutants.mutant import Mutant

_DESK = "tests/chaos/test_desk_fails.py::"
_PLATFORM = "tests/chaos/test_platform_fails.py::"
_RASA = "tests/chaos/test_rasa_fails.py::"


def _blind_retry(patch: pytest.MonkeyPatch) -> None:
    """Every try looks like the first."""
    _remember(patch, attempts=0, state="wanted")


def _not_found_is_not_there(patch: pytest.MonkeyPatch) -> None:
    """It is searched, and what the search does not show is opened again."""
    _remember(patch, state="wanted")


def _remember(patch: pytest.MonkeyPatch, **values: Any) -> None:
    due = tickets.due

    def forgetful(db: Connection, clock: datetime) -> TicketRow | None:
        row = due(db, clock)
        return None if row is None else replace(row, **values)

    patch.setattr(tickets, "due", forgetful)


def _throttling_desk_is_asked_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(desk_pause, "throttled", lambda db, desk, seconds: None)


def _silent_desk_is_asked_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(desk_pause, "may_ask", lambda db, desk, clock, trial: True)


def _uncertain_is_sent_again(patch: pytest.MonkeyPatch) -> None:
    def again(db: Connection, row: OutboxRow, reason: str) -> None:
        rows.settle(db, row.id, "sending", state="retry", reason=reason[:64])

    patch.setattr(outbox, "uncertain", again)


def _receipt_is_not_repeated(patch: pytest.MonkeyPatch) -> None:
    release = rows.release_held

    def forget(db: Connection, conversation_id: int, reason: str) -> int:
        return 0 if reason == "before the next" else release(db, conversation_id, reason)

    patch.setattr(rows, "release_held", forget)


def _others_overtake_a_retry(patch: pytest.MonkeyPatch) -> None:
    def retries_last(db: Connection, conversation_id: int, waiting: list[OutboxRow]) -> list[OutboxRow]:
        return sorted(waiting, key=lambda row: (row.state == "retry", row.id))

    patch.setattr(outbox, "repeats_first", retries_last)


def _platform_is_asked_early(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(outbox, "after_throttling", lambda retry_after: 0.0)


def _all_come_back_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(outbox, "after_throttling", lambda retry_after: retry_after)


def _failing_chat_goes_on(patch: pytest.MonkeyPatch) -> None:
    carry = Sender._carry

    def stubborn(sender: Sender, letter: Letter) -> bool:
        carry(sender, letter)
        return True

    patch.setattr(Sender, "_carry", stubborn)


def _failed_turn_counts(patch: pytest.MonkeyPatch) -> None:
    read = dialogue.read_answer

    def trusting(turn_id: str, answer: httpx.Response) -> Said:
        body = {**answer.json(), "turn_id": turn_id, "failed": False}
        return read(turn_id, httpx.Response(200, json=body))

    patch.setattr(dialogue, "read_answer", trusting)


def _any_state_is_taken(patch: pytest.MonkeyPatch) -> None:
    def anything(raw: Mapping[str, Any]) -> Mapping[str, Any]:
        return dict(raw)

    patch.setattr(dialogue, "_state", anything)


MUTANTS: dict[str, Mutant] = {
    "ticket: blind retry": Mutant(
        "our reference is searched before a second try",
        _blind_retry,
        f"{_DESK}test_t2_committed_and_then_silent[sqlite-short]",
    ),
    "ticket: not found is not there": Mutant(
        "what may be open and is not found goes to a person",
        _not_found_is_not_there,
        f"{_DESK}test_what_the_search_does_not_show_yet_is_not_opened_again[sqlite]",
    ),
    "desk: no Retry-After": Mutant(
        "all workers wait as long as the desk asks",
        _throttling_desk_is_asked_on,
        f"{_DESK}test_t1_every_fault_at_random[sqlite-short]",
    ),
    "desk: no breaker": Mutant(
        "a silent desk is left alone",
        _silent_desk_is_asked_on,
        f"{_DESK}test_a_desk_that_is_away_is_left_alone_and_receipts_go_on[sqlite]",
    ),
    "send: uncertain again": Mutant(
        "what may have arrived is not sent again",
        _uncertain_is_sent_again,
        f"{_PLATFORM}test_o1_without_an_answer_it_is_uncertain_and_never_sent_again[sqlite-delivered then reset]",
    ),
    "send: receipt not repeated": Mutant(
        "an uncertain receipt is repeated before the next message",
        _receipt_is_not_repeated,
        f"{_PLATFORM}test_o1_an_uncertain_receipt_is_repeated_before_the_next_message[sqlite]",
    ),
    "send: retries overtaken": Mutant(
        "order within a chat while a message waits for its retry",
        _others_overtake_a_retry,
        f"{_PLATFORM}test_o1_not_taken_now_is_tried_again_in_order[sqlite-429]",
    ),
    "send: no Retry-After": Mutant(
        "the platform's Retry-After", _platform_is_asked_early, f"{_PLATFORM}test_o1_retry_after_is_kept[sqlite]"
    ),
    "send: no jitter": Mutant(
        "what was throttled together does not come back together",
        _all_come_back_at_once,
        f"{_PLATFORM}test_l10_retries_that_failed_together_do_not_come_back_together[sqlite-throttled-short]",
    ),
    "send: a dead chat holds the line": Mutant(
        "a chat that takes nothing goes behind the others",
        _failing_chat_goes_on,
        f"{_PLATFORM}test_o2_a_dead_chat_does_not_slow_the_others[sqlite-403]",
    ),
    "rasa: failed turn counts": Mutant(
        "a failed turn's result is discarded",
        _failed_turn_counts,
        f"{_RASA}test_u2_u4_what_is_no_result_is_asked_again_and_changes_nothing[sqlite-failed]",
    ),
    "rasa: any state is taken": Mutant(
        "a state without slots or form is refused",
        _any_state_is_taken,
        f"{_RASA}test_u2_u4_what_is_no_result_is_asked_again_and_changes_nothing[sqlite-state lost]",
    ),
}
