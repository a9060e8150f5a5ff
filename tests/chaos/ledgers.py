"""The three ledgers of a chaos run: what the driver sent, what the database holds, what reached the customers.

All times are seconds since the epoch by this machine's clock, which the database uses too.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, select

from bot.store.accounts import channel_account
from bot.store.complaints import complaint, complaint_link
from bot.store.conversations import conversation, episode
from bot.store.database import Database
from bot.store.inbox import inbox
from bot.store.outbox import outbox
from bot.store.tickets import local_ticket, ticket
from bot.store.turns import turn

Row = dict[str, Any]


@dataclass
class Post:
    """One event of a customer, however often it was posted. `key` is the platform's own id of it."""

    chat: str
    key: str
    began: float
    acked: float | None = None
    copies: int = 0  # answers 2xx


@dataclass(frozen=True)
class Claim:
    """A conversation that an agent had: from the claim's answer to the moment before it was given back."""

    conversation_id: int
    returned: float
    until: float
    clean: bool  # the console did not say "uncertain"


@dataclass(frozen=True)
class Delivery:
    """A message on its customer's screen. `number` is the stream's, or the emulator's message id."""

    chat: str
    at: float
    number: int
    text: str


@dataclass
class Driver:
    """The first and the third ledger; written by many threads."""

    posts: list[Post] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    streamed: list[Delivery] = field(default_factory=list)  # by the web chat's event stream
    arrived: list[Delivery] = field(default_factory=list)  # at the Telegram emulator
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, chat: str, key: str) -> Post:
        post = Post(chat, key, time.time())
        with self._lock:
            self.posts.append(post)
        return post

    def acknowledged(self, post: Post) -> None:
        with self._lock:
            post.acked = post.acked or time.time()
            post.copies += 1

    def as_json(self) -> dict[str, Any]:
        lists = ("posts", "claims", "streamed", "arrived")
        return {name: [asdict(one) for one in getattr(self, name)] for name in lists}


@dataclass(frozen=True)
class Books:
    """The second ledger: the tables, as plain rows. Inbox keys are the platform's ids again."""

    conversation: list[Row] = field(default_factory=list)
    episode: list[Row] = field(default_factory=list)
    inbox: list[Row] = field(default_factory=list)
    turn: list[Row] = field(default_factory=list)
    outbox: list[Row] = field(default_factory=list)
    complaint: list[Row] = field(default_factory=list)
    complaint_link: list[Row] = field(default_factory=list)
    ticket: list[Row] = field(default_factory=list)
    local_ticket: list[Row] = field(default_factory=list)


_TABLES: Mapping[str, Table] = {
    "conversation": conversation,
    "episode": episode,
    "turn": turn,
    "outbox": outbox,
    "complaint": complaint,
    "complaint_link": complaint_link,
    "ticket": ticket,
    "local_ticket": local_ticket,
}


def read_books(database: Database) -> Books:
    """One consistent look."""
    with database.read() as db:
        rows = {name: _rows(db, table) for name, table in _TABLES.items()}
        return Books(inbox=_inbox(db), **rows)


def _rows(db: Connection, table: Table) -> list[Row]:
    return [_plain(row._mapping) for row in db.execute(select(table).order_by(table.c.id))]


def _plain(row: Mapping[Any, Any]) -> Row:
    return {str(name): value.timestamp() if isinstance(value, datetime) else value for name, value in row.items()}


def _inbox(db: Connection) -> list[Row]:
    """The web chat puts its visitor before the client's id."""
    kinds = {row.id: row.kind for row in db.execute(select(channel_account.c.id, channel_account.c.kind))}
    found: list[Row] = []
    for row in _rows(db, inbox):
        key = str(row["event_key"])
        found.append({**row, "event_key": key.partition(":")[2] if kinds[row["account_id"]] == "webchat" else key})
    return found
