"""The loop: claim a conversation, make a turn, carry out its commands, send; and open tickets."""

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from bot import outbox
from bot.bell import Bell
from bot.commands import Commands, answer_to_media
from bot.dialogue import Dialogue, Question, Said
from bot.drafts import FORM
from bot.errors import DialogueDown, LeaseLost, TurnFailed
from bot.faults import Faults, Moment
from bot.media import Media
from bot.store import conversations, leases, turns
from bot.store.conversations import Conversation
from bot.store.database import Database
from bot.store.turns import TurnRow
from bot.turn import due_again, finish_stale, fix_next

log = structlog.get_logger()

TURNS_PER_LEASE = 5
FAILURES_ALLOWED = 3
PATIENCE_BEFORE_EXCUSE = timedelta(seconds=5)
TICK = 1.0  # seconds between looks when nobody rings


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
        faults: Faults,
    ) -> None:
        self._database = database
        self._bell = bell
        self._dialogue = dialogue
        self._commands = commands
        self._media = media
        self._limits = limits
        self._faults = faults

    def work_once(self) -> bool:
        """Answers the conversation that has waited longest; False when nobody waits."""
        with self._database.write() as db:
            leased = leases.claim_work(db, self._limits.lease)
        if leased is None:
            return False
        self._faults.at(Moment.WORK_CLAIMED)
        pause: timedelta | None = None
        try:
            self._media.fetch_all(leased, lambda: self._renew(leased))
            pause = self._answer(leased)
        except LeaseLost:
            log.warning("lease lost", conversation=leased.id)
            return True
        finally:
            self._give_back(leased, pause)
        return True

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
            fixed = self._fix(leased)
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
        except (OperationalError, InterfaceError, PoolTimeout):
            raise
        except (KeyError, TypeError, ValueError, SQLAlchemyError) as error:
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
        return None if turn is None else (current, turn)

    def _renew(self, leased: Conversation) -> None:
        with self._database.write() as db:
            self._locked(db, leased)

    def _locked(self, db: Connection, leased: Conversation) -> Conversation:
        """The conversation, locked, and the lease renewed. Raises LeaseLost when another worker has it."""
        current = conversations.lock(db, leased.id)
        if not leases.renew_work(db, leased.id, leased.lease_token, self._limits.lease):
            raise LeaseLost(str(leased.id))
        return current

    def _ask(self, current: Conversation, turn: TurnRow) -> Said:
        if turn.attachments and not turn.text and current.dialogue.get("active_form") == FORM:
            return answer_to_media(current)
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
                return None
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
            stop.wait(pause)
            pause = min(pause * 2, 30.0)
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


def run(jobs: list[Job], bell: Bell, stop: Stop) -> None:
    """Runs each job in its own thread until `stop`; returns when all have finished their last round."""
    threads = [
        threading.Thread(target=keep_doing, args=(job.name, job.once, bell, job.topic, stop), name=job.name)
        for job in jobs
    ]
    for thread in threads:
        thread.start()
    while not stop.wait(TICK):
        pass
    for thread in threads:
        thread.join()
