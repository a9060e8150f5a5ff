"""The loop: claim a conversation, make a turn, carry out its commands, send; and open tickets."""

import faulthandler
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from bot import outbox
from bot.bell import Bell
from bot.commands import Commands, answer_to_media
from bot.dialogue import Dialogue, Question, Said
from bot.drafts import FORM
from bot.errors import DialogueDown, LeaseLost, TingsuError, TurnFailed
from bot.faults import Faults, Moment
from bot.media import Media
from bot.store import conversations, inbox, leases, turns
from bot.store.conversations import Conversation
from bot.store.database import TROUBLE, Database
from bot.store.turns import TurnRow
from bot.suspects import AGAIN, Suspects
from bot.turn import due_again, finish_stale, fix_next

log = structlog.get_logger()

TURNS_PER_LEASE = 5
FAILURES_ALLOWED = 3
STARTS_ALLOWED = 5  # of one turn: a worker that died over it has counted before it began
PATIENCE_BEFORE_EXCUSE = timedelta(seconds=5)
TICK = 1.0  # seconds between looks when nobody rings
LONGEST_PAUSE = 30.0  # seconds between tries while the database is away
FROZEN = 60.0  # seconds; longer than any call into C that comes back
_STDERR = 2  # the file descriptor: whatever stands for sys.stderr by then may have none


@dataclass(frozen=True)
class Limits:
    """Times in seconds, from the settings."""

    lease: float
    rasa_patience: float
    timezone: str


class Turns:
    """One thread's worth of answering conversations."""

    def __init__(
        self,
        database: Database,
        bell: Bell,
        dialogue: Dialogue,
        commands: Commands,
        media: Media,
        limits: Limits,
        suspects: Suspects,
        faults: Faults,
    ) -> None:
        self._database = database
        self._bell = bell
        self._dialogue = dialogue
        self._commands = commands
        self._media = media
        self._limits = limits
        self._suspects = suspects
        self._faults = faults
        self._lease_ends: float | None = None  # by the monotonic clock
        self.stopping: Callable[[], bool] = lambda: False  # asked between two turns of one lease

    def work_once(self) -> bool:
        """Answers the conversation that has waited longest; False when nobody waits."""
        with self._database.write() as db:
            leased = leases.claim_work(db, self._limits.lease)
            suspected = leased is not None and (turns.suspected(db, leased.id) or inbox.suspected(db, leased.id))
        if leased is None:
            return False
        with self._suspects.alone(suspected) as now:
            if now:
                self._work(leased)
            else:
                self._put_off(leased)
        return True

    def _put_off(self, leased: Conversation) -> None:
        with self._database.write() as db:
            leases.release_work(db, leased.id, leased.lease_token, conversations.now(db) + AGAIN)

    def _work(self, leased: Conversation) -> None:
        self._lease_ends = time.monotonic() + self._limits.lease
        self._faults.at(Moment.WORK_CLAIMED)
        pause: timedelta | None = None
        try:
            self._media.fetch_all(leased, lambda: self._renew(leased))
            pause = self._answer(leased)
        except LeaseLost:
            log.warning("lease lost", conversation=leased.id)
        finally:
            self._lease_ends = None
            self._give_back(leased, pause)

    def overdue(self) -> bool:
        """Whether this thread still works on what another one may have taken over: it hangs."""
        return self._lease_ends is not None and time.monotonic() > self._lease_ends

    def _give_back(self, leased: Conversation, pause: timedelta | None) -> None:
        with self._database.write() as db:
            current = conversations.lock(db, leased.id)
            due = due_again(db, current)
            if due is not None and pause is not None:
                due = conversations.now(db) + pause
            leases.release_work(db, leased.id, leased.lease_token, due)
        self._bell.ring("send")
        self._bell.ring("live")

    def _answer(self, leased: Conversation) -> timedelta | None:
        """Makes turns until nobody waits; gives a pause when the dialogue has none to give now."""
        for _ in range(TURNS_PER_LEASE):
            fixed = None if self.stopping() else self._fix(leased)
            if fixed is None:
                return None
            current, turn = fixed
            try:
                self._answer_turn(leased, current, turn)
            except DialogueDown as down:
                return self._wait(leased, turn, str(down))
            except TurnFailed as failure:
                pause = self._count_failure(leased, turn, str(failure))
                if pause is not None:
                    return pause
            self._bell.ring("send")
            self._bell.ring("tickets")
        return None

    def _answer_turn(self, leased: Conversation, current: Conversation, turn: TurnRow) -> None:
        """Asks and commits. What is wrong with this turn alone is TurnFailed; the database's trouble is not."""
        try:
            self._faults.at(Moment.TURN_FIXED)
            said = self._ask(current, turn)
            self._faults.at(Moment.ANSWERED)
            self._commit(leased, turn, said)
            self._faults.at(Moment.TURN_AFTER_COMMIT)
        except TROUBLE:
            self._take_back_start(turn)
            raise
        except TingsuError:
            raise
        except Exception as error:
            log.exception("turn broke", turn=turn.id, error=type(error).__name__)
            raise TurnFailed(type(error).__name__) from None

    def _fix(self, leased: Conversation) -> tuple[Conversation, TurnRow] | None:
        with self._database.write() as db:
            current = self._locked(db, leased)
            turn = turns.open_turn(db, leased.id)
            if turn is not None and turn.epoch != current.epoch:
                finish_stale(db, turn)
                turn = None
            if current.state != "bot":
                return None
            turn = turn or fix_next(db, current)
            if turn is None:
                return None
            if turn.starts >= STARTS_ALLOWED:
                log.error("turn kills its workers", turn=turn.id, starts=turn.starts)
                self._commands.give_up(db, current, turn, "killed its worker")
                return None
            turns.count_start(db, turn.id)
        return current, turn

    def _take_back_start(self, turn: TurnRow) -> None:
        """The database's trouble is not the turn's; while it lasts, this cannot be written either."""
        with suppress(SQLAlchemyError), self._database.write() as db:
            turns.count_start(db, turn.id, -1)

    def _renew(self, leased: Conversation) -> None:
        with self._database.write() as db:
            self._locked(db, leased)

    def _locked(self, db: Connection, leased: Conversation) -> Conversation:
        """The conversation, locked, and the lease renewed. Raises LeaseLost when another worker has it."""
        current = conversations.lock(db, leased.id)
        if not leases.renew_work(db, leased.id, leased.lease_token, self._limits.lease):
            raise LeaseLost(str(leased.id))
        self._lease_ends = time.monotonic() + self._limits.lease
        return current

    def _ask(self, current: Conversation, turn: TurnRow) -> Said:
        if turn.attachments and not turn.text and turn.payload is None:
            with self._database.read() as db:
                kept = inbox.kept_files(db, current.id, turn.first_sequence, turn.last_sequence)
            if not kept or current.dialogue.get("active_form") == FORM:
                return answer_to_media(current, kept)
        with self._database.read() as db:
            context = self._commands.context(db, current, turn)
        return self._dialogue.turn(
            Question(
                turn_id=str(turn.id),
                text=turn.text,
                payload=turn.payload,
                attachments=turn.attachments,
                state={name: value for name, value in current.dialogue.items() if name != "draft"},
                context=context,
                now=turn.received_at,
                timezone=self._limits.timezone,
                language=turn.language,
            )
        )

    def _commit(self, leased: Conversation, turn: TurnRow, said: Said) -> None:
        """One commit that checks lease and epoch again; a stale epoch discards everything."""
        with self._database.write() as db:
            current = self._locked(db, leased)
            if current.epoch != turn.epoch:
                finish_stale(db, turn)
            else:
                self._commands.commit(db, current, turn, said)
            self._faults.at(Moment.TURN_BEFORE_COMMIT)

    def _wait(self, leased: Conversation, turn: TurnRow, reason: str) -> timedelta | None:
        """Without Rasa: one excuse, then patience, then a person."""
        with self._database.write() as db:
            current = self._locked(db, leased)
            if current.epoch != turn.epoch:
                finish_stale(db, turn)
                return None
            turns.count_start(db, turn.id, -1)  # nobody looked at it
            waited = conversations.now(db) - turn.created_at
            if waited > timedelta(seconds=self._limits.rasa_patience):
                self._commands.give_up(db, current, turn, f"no dialogue: {reason}"[:64])
                return None
            if waited > PATIENCE_BEFORE_EXCUSE:
                self._excuse(db, current, turn)
        return timedelta(seconds=1)

    def _count_failure(self, leased: Conversation, turn: TurnRow, reason: str) -> timedelta | None:
        with self._database.write() as db:
            current = self._locked(db, leased)
            if current.epoch != turn.epoch:
                return None
            failures = turns.count_failure(db, turn.id)
            log.warning("turn failed", turn=turn.id, failures=failures, reason=reason[:64])
            if failures >= FAILURES_ALLOWED:
                self._commands.give_up(db, current, turn, reason[:64])
                return None
            self._excuse(db, current, turn)
        return timedelta(seconds=failures)

    def _excuse(self, db: Connection, current: Conversation, turn: TurnRow) -> None:
        outbox.courtesy(db, current, f"wait:{turn.id}", "wait", "system.one_moment")


class Stop:
    """Says when to stop: set by SIGTERM and SIGINT."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def on_signals(self) -> "Stop":
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._event.set())
        return self

    def now(self) -> None:
        self._event.set()

    def asked(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        return self._event.wait(seconds)


def keep_doing(name: str, once: Callable[[], bool], bell: Bell, topic: str, stop: Stop) -> None:
    """Calls `once` until there is nothing to do, then waits for the bell or a tick. Ends on `stop`."""
    listener = bell.listener([topic])
    pause = TICK
    while not stop.asked():
        try:
            if not once():
                listener.wait(TICK)
            pause = TICK
        except SQLAlchemyError as error:
            log.error("database trouble", loop=name, error=type(error).__name__)
            stop.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 - all workers come back, not all at once
            pause = min(pause * 2, LONGEST_PAUSE)
        except Exception as error:  # a bug in one conversation must not end the loop for the others
            log.exception("loop trouble", loop=name, error=type(error).__name__)
            stop.wait(pause)
    listener.close()


@dataclass(frozen=True)
class Job:
    """One thread of the worker: what it repeats, and the bell topic that wakes it."""

    name: str
    topic: str
    once: Callable[[], bool]
    overdue: Callable[[], bool] = lambda: False  # whether it hangs: its lease is over and it has not come back


def run(jobs: list[Job], bell: Bell, stop: Stop) -> bool:
    """Runs each job in its own thread until `stop`; returns when all have finished their last round.

    False when one hangs: the others have finished, and the process must be ended, since a thread cannot be. A process
    in which no Python runs any more (a regular expression that never ends) ends itself after FROZEN seconds.
    """
    threads = [
        threading.Thread(
            target=keep_doing, args=(job.name, job.once, bell, job.topic, stop), name=job.name, daemon=True
        )
        for job in jobs
    ]
    faulthandler.dump_traceback_later(FROZEN, exit=True, file=_STDERR)
    for thread in threads:
        thread.start()
    hung: set[str] = set()
    while not stop.wait(TICK):
        faulthandler.dump_traceback_later(FROZEN, exit=True, file=_STDERR)
        hung = {job.name for job in jobs if job.overdue()}
        if hung:
            log.critical("worker hangs", threads=sorted(hung))
            stop.now()
    faulthandler.cancel_dump_traceback_later()
    for thread in threads:
        if thread.name not in hung:
            thread.join()
    return not hung
