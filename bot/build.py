"""Settings -> live objects: the only place that says create_engine, Redis, Rasa or a channel's name."""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from sqlalchemy import Connection

from bot import channels as channel_files
from bot import guards
from bot.alarms import Alarms
from bot.bell import Bell
from bot.blobs import Blobs, SqlBlobs
from bot.channel import Account, Channel
from bot.commands import Commands
from bot.complaint import Complaints
from bot.conversation import Ownership
from bot.desk import Desk
from bot.desk_work import DeskWork
from bot.desks import DESKS
from bot.dialogue import Dialogue, Rasa, Timed
from bot.faults import NONE, Faults
from bot.filed import Filed
from bot.handoff import Handoff
from bot.hours import Calendar
from bot.inbox import Inbox
from bot.inspection import Inspection
from bot.introduction import Introduction
from bot.letters import Letters
from bot.limiter import Limiter
from bot.live import Live
from bot.measures import Measures
from bot.media import Media
from bot.metrics import Figures
from bot.pressure import Pressure
from bot.privacy import Privacy
from bot.retention import Keep, Retention
from bot.scanner import scanner
from bot.sealing import Seal
from bot.sender import Sender
from bot.settings import Settings
from bot.store import accounts as account_store
from bot.store.accounts import AccountRow
from bot.store.database import Database
from bot.suspects import Suspects
from bot.texts import Texts
from bot.ticketing import Ticketing
from bot.users import Users
from bot.waiting import Waiting
from bot.worker import Limits, Turns

MAIN = "main"  # slug of the first account of each kind
_NO_RASA = "http://127.0.0.1:9"  # the discard port: refuses, which the worker takes as "Rasa is down"


class LiveChannels(Mapping[int, Channel]):
    """Account id -> channel, each made when it is first needed."""

    def __init__(self, accounts: Mapping[int, Account]) -> None:
        self._accounts = accounts
        self._made: dict[int, Channel] = {}
        self._making = threading.Lock()

    def __getitem__(self, account_id: int) -> Channel:
        with self._making:  # two channels of one account would be two loops, and one never closed
            if account_id not in self._made:
                account = self._accounts[account_id]
                self._made[account_id] = channel_files.CHANNELS[account.kind](account)
            return self._made[account_id]

    def __iter__(self) -> Iterator[int]:
        return iter(self._accounts)

    def __len__(self) -> int:
        return len(self._accounts)

    def close(self) -> None:
        for channel in self._made.values():
            channel.close()


@dataclass(frozen=True)
class Product:
    """Everything that a door, the worker or the poller works with."""

    settings: Settings
    database: Database
    bell: Bell
    texts: Texts
    calendar: Calendar
    seal: Seal
    accounts: Mapping[tuple[str, str], Account]
    channels: LiveChannels
    desk: Desk
    dialogue: Dialogue
    blobs: Blobs
    inspection: Inspection
    limiter: Limiter
    inbox: Inbox
    ownership: Ownership
    complaints: Complaints
    people: Users
    live: Live
    letters: Letters
    commands: Commands
    suspects: Suspects
    handoff: Handoff
    faults: Faults
    measures: Measures
    figures: Figures
    pressure: Pressure

    def turns(self) -> Turns:
        """A worker thread's hands."""
        return Turns(
            self.database,
            self.bell,
            Timed(self.dialogue, self.measures),
            self.commands,
            Media(self.database, self.blobs, self.channels, self.inspection, self.faults),
            Limits(self.settings.lease_seconds, self.settings.rasa_patience, str(self.settings.timezone)),
            self.suspects,
            self.faults,
        )

    def sender(self) -> Sender:
        return Sender(
            self.database,
            self.bell,
            self.texts,
            self.channels,
            self.limiter,
            self.suspects,
            self.faults,
            self.measures,
        )

    def ticketing(self) -> Ticketing:
        return Ticketing(self.database, self.desk, self.handoff, self.suspects, self.faults)

    def desk_work(self) -> DeskWork:
        return DeskWork(self.database, self.bell, self.desk, self.texts, self.handoff)

    def waiting(self) -> Waiting:
        longest = timedelta(minutes=self.settings.longest_wait_minutes)
        within = timedelta(minutes=self.settings.callback_within_minutes)
        return Waiting(self.database, self.bell, self.calendar, longest, within)

    def privacy(self) -> Privacy:
        return Privacy(self.database, self.seal, self.blobs, self.texts)

    def retention(self) -> Retention:
        return Retention(self.database, self.privacy(), Keep(self.settings.keep_days, self.settings.keep_raw_days))

    def close(self) -> None:
        self.live.close()
        self.channels.close()
        self.dialogue.close()
        self.bell.close()
        self.database.close()


def texts(settings: Settings) -> Texts:
    return Texts(settings.timezone, {"zh": settings.operator_zh, "en": settings.operator_en})


def build(
    settings: Settings, *, dialogue: Dialogue | None = None, desk: Desk | None = None, faults: Faults = NONE
) -> Product:
    """Needs a migrated database. `dialogue`, `desk` and `faults` are given by tests; else Rasa, the local desk, none.

    Raises Unsafe when what we stand on could lose what we acknowledge.
    """
    database = _safe_database(settings)
    bell = Bell(settings.redis_url, settings.redis_prefix, settings.installation)
    seal = Seal(settings.secret_key)
    calendar = Calendar.parse(settings.hours, settings.timezone)
    within = timedelta(minutes=settings.callback_within_minutes)
    accounts = seed_accounts(database, seal, settings)
    desk = desk or DESKS["local"](database)
    dialogue = dialogue or Rasa(settings.rasa_url or _NO_RASA, settings.turn_timeout)
    measures = Measures()
    longest = timedelta(minutes=settings.longest_backlog_minutes)
    pressure = Pressure(database, settings.home, settings.least_disk_mb * 1024 * 1024, longest)
    reach = {"redis": bell.alive} if settings.redis_url else {}
    reach |= {"rasa": dialogue.alive} if settings.rasa_url else {}
    complaints = Complaints(database, bell, seal, desk, settings.statutory_days, faults)
    introduction = Introduction(privacy_page(settings))
    handoff = Handoff(complaints, calendar, within, introduction)
    return Product(
        settings=settings,
        database=database,
        bell=bell,
        texts=texts(settings),
        calendar=calendar,
        seal=seal,
        accounts={(account.kind, account.slug): account for account in accounts.values()},
        channels=LiveChannels(accounts),
        desk=desk,
        dialogue=dialogue,
        blobs=SqlBlobs(database),
        inspection=Inspection(scanner(settings.clamd)),
        limiter=Limiter(settings.redis_url, settings.redis_prefix, partial(seal.digest, "limit")),
        inbox=Inbox(database, bell, seal, handoff, Alarms(complaints, handoff), faults, measures),
        ownership=Ownership(database, bell, faults),
        complaints=complaints,
        people=Users(database, settings, seal),
        live=Live(database, bell),
        letters=Letters(database, bell),
        commands=Commands(complaints, Filed(complaints, settings.timezone), handoff, introduction, calendar),
        suspects=Suspects(),
        handoff=handoff,
        faults=faults,
        measures=measures,
        figures=Figures(database, settings.home, reach, pressure),
        pressure=pressure,
    )


def privacy_page(settings: Settings) -> str:
    """The operator's own page, else ours; empty where we do not know our own address."""
    return settings.privacy_url or (f"{settings.public_url}/privacy" if settings.public_url else "")


def _safe_database(settings: Settings) -> Database:
    database = Database(settings.database_url)
    try:
        guards.enforce(settings, database)
    except Exception:
        database.close()
        raise
    return database


def seed_accounts(database: Database, seal: Seal, settings: Settings) -> dict[int, Account]:
    """All accounts by id. The environment seeds, and later updates, the first account of a kind only."""
    with database.write() as db:
        account_store.seed(db, "screen", MAIN, settings={}, secret=_sealed(seal, ""))
        account_store.seed(db, "webchat", MAIN, settings={}, secret=_sealed(seal, ""))
        if settings.telegram_token:
            _seed_telegram(db, seal, settings)
        return {row.id: _opened(seal, row) for row in account_store.all_accounts(db)}


def _seed_telegram(db: Connection, seal: Seal, settings: Settings) -> None:
    wanted = {
        "api_url": settings.telegram_api_url,
        "mode": settings.telegram_mode,
        "public_url": settings.public_url,
        "name": settings.telegram_name,
        "webhook_secret": settings.telegram_webhook_secret or seal.digest("telegram webhook", settings.telegram_token),
    }
    row = account_store.seed(db, "telegram", MAIN, settings=wanted, secret=_sealed(seal, settings.telegram_token))
    known = dict(row.settings)
    older = known.pop("previous_webhook_secret", "")
    if known == wanted and seal.open(bytes.fromhex(row.secret)) == settings.telegram_token:
        return
    rotated = known["webhook_secret"] != wanted["webhook_secret"]
    # Posts that are under way still carry the secret that was.
    wanted["previous_webhook_secret"] = known["webhook_secret"] if rotated else older
    account_store.replace_settings(db, row.id, settings=wanted, secret=_sealed(seal, settings.telegram_token))


def _sealed(seal: Seal, secret: str) -> str:
    return seal.seal(secret).hex()


def _opened(seal: Seal, row: AccountRow) -> Account:
    previous = seal.open(bytes.fromhex(row.previous_secret)) if row.previous_secret else ""
    return Account(row.id, row.kind, row.slug, seal.open(bytes.fromhex(row.secret)), previous, dict(row.settings))
