"""Sends what is due, in order per conversation, and settles each row's fate."""

import random
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from bot import choices, facts, outbox
from bot.bell import Bell
from bot.channel import SEND_DEADLINE, Channel
from bot.errors import SendFailed, SendUncertain, Throttled
from bot.faults import Faults, Moment
from bot.limiter import Limiter
from bot.measures import Measures
from bot.message import Button, Outgoing
from bot.splitting import split
from bot.store import conversations, leases, people
from bot.store import outbox as store
from bot.store.conversations import Conversation
from bot.store.database import Database
from bot.store.outbox import OutboxRow
from bot.suspects import AGAIN, Suspects
from bot.texts import Texts

log = structlog.get_logger()

LEASE = SEND_DEADLINE * 3  # seconds; a live sender is always faster than this
ROWS_PER_LEASE = 20
_PACE = (0.1, 0.6)  # seconds before a conversation tries again that came when the platform was busy with us
CLAIMS_ALLOWED = 5  # in a row that nobody gave back: whoever had them died over the first waiting row


@dataclass(frozen=True)
class Letter:
    """A row that was flipped to `sending`, rendered and split for its channel."""

    row: OutboxRow
    lease_token: int
    channel: Channel
    recipient: str
    text: str
    pieces: list[str]
    buttons: tuple[Button, ...]


def labelled(texts: Texts, row: OutboxRow, language: str) -> tuple[Button, ...]:
    """The row's buttons with their wire payloads: literal for `human` and `stop_waiting`, else row and place.

    None where the text has them as numbers.
    """
    if row.args.get("numbered"):
        return ()
    return tuple(
        Button(
            spec["payload"] if spec["payload"] in ("human", "stop_waiting") else f"{row.id}.{index}",
            texts.render(spec["key"], language, **dict(spec.get("args") or {})),
        )
        for index, spec in enumerate(row.buttons)
    )


def words(texts: Texts, row: OutboxRow, language: str) -> str:
    """What the row says: an agent's words, what was sent, or the text key rendered now."""
    if row.text or not row.text_key:
        return row.text
    parts = [(str(one["key"]), dict(one["args"])) for one in row.args.get("before") or ()]
    parts.append((row.text_key, dict(row.args)))
    said = [_rendered(texts, language, *part) for part in parts]
    if row.args.get("numbered"):
        said.append(_numbered(texts, row, language))
    if parts[0][0] == "introduction":
        said[0] += "\n"
    return "\n".join(said)


def _rendered(texts: Texts, language: str, key: str, args: dict[str, Any]) -> str:
    if "state" in args and "next" not in args:
        args["next"] = texts.render(f"next.{args['state']}", language)
    return texts.render(key, language, **args)


def _numbered(texts: Texts, row: OutboxRow, language: str) -> str:
    if [spec["payload"] for spec in row.buttons] == [choices.SKIP]:
        return texts.render("choices.skip", language)
    lines = [
        f"{number}  {texts.render(spec['key'], language, **dict(spec.get('args') or {}))}"
        for number, spec in choices.numbered(row.buttons)
    ]
    return "\n".join([texts.render("choices.by_number", language), *lines])


class Sender:
    """One thread's sender. `channels` maps account ids to live channels."""

    def __init__(
        self,
        database: Database,
        bell: Bell,
        texts: Texts,
        channels: Mapping[int, Channel],
        limiter: Limiter,
        suspects: Suspects,
        faults: Faults,
        measures: Measures,
    ) -> None:
        self._database = database
        self._bell = bell
        self._texts = texts
        self._channels = channels
        self._limiter = limiter
        self._suspects = suspects
        self._faults = faults
        self._measures = measures
        self._lease_ends: float | None = None  # by the monotonic clock

    def send_once(self) -> bool:
        """Sends for the conversation that has waited longest; False when nothing was due."""
        with self._database.write() as db:
            leased = leases.claim_sending(db, LEASE)
            if leased is not None and not self._settle_orphans(db, leased):
                self._bury_poison(db, leased)
        if leased is None:
            return False
        with self._suspects.alone(leased.send_claims > 1) as now:
            if now:
                self._send(leased)
            else:
                self._put_off(leased)
        return True

    def _put_off(self, leased: Conversation) -> None:
        with self._database.write() as db:
            due, claims = conversations.now(db) + AGAIN, conversations.lock(db, leased.id).send_claims - 1
            leases.release_sending(db, leased.id, leased.send_lease_token, due, send_claims=claims)

    def _send(self, leased: Conversation) -> None:
        self._lease_ends = time.monotonic() + LEASE
        try:
            self._faults.at(Moment.SENDING_CLAIMED)
            self._send_all(leased)
        finally:
            self._lease_ends = None
        self._bell.ring("live")

    def overdue(self) -> bool:
        """Whether this thread still sends what another one may have taken over: it hangs."""
        return self._lease_ends is not None and time.monotonic() > self._lease_ends

    def _send_all(self, leased: Conversation) -> None:
        """Only the database's trouble gives the lease back early: anything else counts as a death."""
        pause = 0.0
        try:
            for done in range(ROWS_PER_LEASE):
                pause = self._pause_of(leased)
                if pause or not self._step(leased, done):
                    break
        except SQLAlchemyError:
            with suppress(SQLAlchemyError):
                self._give_back(leased)
            raise
        self._give_back(leased, pause)

    def _settle_orphans(self, db: Connection, leased: Conversation) -> int:
        """Whoever was sending before us died on the way: nobody knows whether it arrived. Gives how many."""
        orphans = store.in_state(db, leased.id, "sending")
        for row in orphans:
            outbox.uncertain(db, row, "sender died")
        if orphans:
            conversations.change(db, leased.id, send_claims=1)
        return len(orphans)

    def _bury_poison(self, db: Connection, leased: Conversation) -> None:
        """A row that kills its sender before it leaves us is dead; what waits behind it goes on."""
        if leased.send_claims <= CLAIMS_ALLOWED:
            return
        conversations.change(db, leased.id, send_claims=1)
        for row in outbox.repeats_first(db, leased.id, store.waiting(db, leased.id))[:1]:
            log.error("message kills its senders", outbox=row.id)
            store.settle(db, row.id, row.state, attempts=row.attempts + CLAIMS_ALLOWED)
            self._bury(db, row, row.state, "killed its sender")

    def _pause_of(self, leased: Conversation) -> float:
        """Seconds to wait because all workers together send as fast as the platform takes it; 0 to go on."""
        rate = self._channels[leased.account_id].capabilities.per_second
        if not rate or self._limiter.allow("send", str(leased.account_id), f"{rate}/second"):
            return 0.0
        return random.uniform(*_PACE)  # noqa: S311 - spreads those who wait

    def _give_back(self, leased: Conversation, pause: float = 0.0) -> None:
        with self._database.write() as db:
            conversations.lock(db, leased.id)
            waiting = outbox.in_order(store.waiting(db, leased.id))
            # Not earlier than now: who has just had a turn stands behind those who wait.
            now = conversations.now(db)
            due = max(waiting[0].due_at, _later(now, pause)) if waiting else None
            leases.release_sending(db, leased.id, leased.send_lease_token, due)

    def _step(self, leased: Conversation, done: int = 0) -> bool:
        """Handles the first waiting row, after so many; False when there is nothing more to do now."""
        survived = {"send_claims": 1} if done else {}
        with self._database.write() as db:
            current = conversations.lock(db, leased.id)
            if not leases.renew_sending(db, leased.id, leased.send_lease_token, LEASE, **survived):
                return False
            self._lease_ends = time.monotonic() + LEASE
            rows = outbox.repeats_first(db, leased.id, store.waiting(db, leased.id))
            if not rows or rows[0].due_at > conversations.now(db):
                return False
            letter = self._prepare(db, current, rows[0])
        return letter is None or self._carry(letter)

    def _prepare(self, db: Connection, current: Conversation, row: OutboxRow) -> Letter | None:
        """Decides the row's fate at this instant; a Letter if it has to travel."""
        fate = outbox.fate(row, current)
        if fate != "sent":
            reason = "agent" if fate == "held" else f"{current.state}"
            store.settle(db, row.id, row.state, state=fate, reason=reason)
            return None
        channel = self._channels[current.account_id]
        capabilities = channel.capabilities
        try:
            text = words(self._texts, row, current.language)
            buttons = labelled(self._texts, row, current.language)
            pieces = [] if capabilities.pulled else split(text, capabilities.text_limit, capabilities.counted_in)
        except KeyError as missing:
            self._bury(db, row, row.state, f"no text {missing}")
            return None
        except Exception as error:  # a text that breaks us must not stop what waits behind it
            log.exception("message cannot be written", outbox=row.id, error=type(error).__name__)
            self._bury(db, row, row.state, "cannot be written")
            return None
        if capabilities.pulled:
            self._publish(db, current, row, text)
            return None
        store.settle(
            db,
            row.id,
            row.state,
            state="sending",
            attempts=row.attempts + 1,
            sending_at=conversations.now(db),
            text=text,
        )
        recipient = people.identity_by_id(db, current.identity_id).external_id
        return Letter(row, current.send_lease_token, channel, recipient, text, pieces, buttons)

    def _publish(self, db: Connection, current: Conversation, row: OutboxRow, text: str) -> None:
        """Pulled channels: the message is sent when it has its number in the stream."""
        store.settle(
            db,
            row.id,
            row.state,
            state="sent",
            text=text,
            stream=current.next_stream,
            sent_at=conversations.now(db),
        )
        conversations.change(db, current.id, next_stream=current.next_stream + 1)
        self._record_sent(db, row)

    def _record_sent(self, db: Connection, row: OutboxRow) -> None:
        facts.record(
            db, "outbox.sent", conversation_id=row.conversation_id, outbox=row.id, class_=row.class_, topic=row.topic
        )

    def _carry(self, letter: Letter) -> bool:
        """The outside call, without a transaction; one piece after the other.

        False when it did not get through: a chat that takes nothing must not hold up the others with its next message.
        """
        sent_id = ""
        for index in range(letter.row.pieces_sent, len(letter.pieces)):
            last = index == len(letter.pieces) - 1
            outgoing = Outgoing(
                letter.recipient,
                letter.pieces[index],
                letter.buttons if last else (),
                key=f"{letter.row.key}.{letter.row.part}.{index}",
            )
            self._faults.at(Moment.SENDING)
            try:
                with self._measures.sending(letter.channel.kind):
                    sent_id = letter.channel.send(outgoing).platform_id
            except Throttled as pause:
                self._retry(letter.row, index, outbox.after_throttling(pause.retry_after), "throttled")
                return False
            except SendFailed as failure:
                self._failed(letter.row, index, failure)
                return False
            except SendUncertain as doubt:
                self._doubt(letter.row, index, str(doubt))
                return False
            except Exception as surprise:  # a channel's bug must not stop the others; it may have arrived
                log.error("send broke", outbox=letter.row.id, error=type(surprise).__name__)
                self._doubt(letter.row, index, type(surprise).__name__)
                return False
            self._faults.at(Moment.SENT)
            if not last and not self._may_go_on(letter, index + 1):
                return False
        self._sent(letter.row, sent_id)
        self._faults.at(Moment.SENT_AFTER_COMMIT)
        return True

    def _may_go_on(self, letter: Letter, pieces: int) -> bool:
        """Between two pieces: notes how far we are, and stops where an agent has taken over meanwhile."""
        row = letter.row
        with self._database.write() as db:
            current = conversations.lock(db, row.conversation_id)
            if not leases.renew_sending(db, current.id, letter.lease_token, LEASE):
                return False  # whoever has the lease now has called this row uncertain
            self._lease_ends = time.monotonic() + LEASE
            store.settle(db, row.id, "sending", pieces_sent=pieces)
            fate = outbox.fate(row, current)
            if fate == "sent":
                return True
            reason = "agent" if fate == "held" else "cut short"
            store.settle(db, row.id, "sending", state=fate, reason=reason)
        return False

    def _sent(self, row: OutboxRow, platform_id: str) -> None:
        with self._database.write() as db:
            values = {"state": "sent", "platform_id": platform_id[:128], "sent_at": conversations.now(db)}
            done = store.settle(db, row.id, "sending", **values)
            # Another process gave us up for dead, yet the platform did take it: what is known beats the doubt.
            if done or store.settle(db, row.id, "uncertain", **values):
                self._record_sent(db, row)

    def _retry(self, row: OutboxRow, pieces: int, seconds: float, reason: str) -> None:
        with self._database.write() as db:
            clock = conversations.now(db)
            if clock - (row.replayed_at or row.created_at) > outbox.GIVE_UP_AFTER:
                self._bury(db, row, "sending", "gave up after 24 h")
                return
            store.settle(
                db,
                row.id,
                "sending",
                state="retry",
                reason=row.reason if row.reason == outbox.RELEASED_BY_AGENT else reason[:64],
                pieces_sent=pieces,
                due_at=_later(clock, seconds),
            )

    def _failed(self, row: OutboxRow, pieces: int, failure: SendFailed) -> None:
        if not failure.permanent:
            pause = outbox.pause_before_retry(row.attempts + 1)
            self._retry(row, pieces, pause * random.uniform(0.5, 1.0), str(failure))  # noqa: S311 - jitter
            return
        with self._database.write() as db:
            self._bury(db, row, "sending", str(failure))

    def _bury(self, db: Connection, row: OutboxRow, expected: str, reason: str) -> None:
        if store.settle(db, row.id, expected, state="dead", reason=reason[:64], stopped_at=conversations.now(db)):
            facts.record(db, "outbox.dead", conversation_id=row.conversation_id, outbox=row.id, class_=row.class_)

    def _doubt(self, row: OutboxRow, pieces: int, reason: str) -> None:
        with self._database.write() as db:
            store.settle(db, row.id, "sending", pieces_sent=pieces)
            outbox.uncertain(db, row, reason)
            leases.wake_sender(db, row.conversation_id)


def _later(clock: datetime, seconds: float) -> datetime:
    return clock + timedelta(seconds=seconds)
