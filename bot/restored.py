"""After a backup has been restored: what was waiting in it may have gone out since it was taken, so people look first."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from bot import facts, outbox
from bot.channel import Channel
from bot.store import figures, leases, tickets
from bot.store import outbox as store
from bot.store.database import Database

REASON = "restored"


@dataclass(frozen=True)
class Reviewed:
    """How many of each were set aside, and how many messages the bot will answer, perhaps a second time."""

    messages: int
    tickets: int
    unanswered: int


def set_aside(database: Database, channels: Mapping[int, Channel]) -> Reviewed:
    """Marks waiting messages as uncertain and lets tickets be searched before they are opened.

    To be run once, before doors and workers start. Pulled channels (web chat) keep their messages: nobody is called
    there, customers read what the database has.
    """
    with database.write() as db:
        sent_to = [id_ for id_, account in store.with_waiting(db) if not channels[account].capabilities.pulled]
        messages = sum(_set_aside(db, id_) for id_ in sent_to)
        searched = tickets.search_before_opening(db)
        waiting = figures.open_messages(db).get("bot", 0)
        facts.record(db, "backup.restored", messages=messages, tickets=searched, unanswered=waiting)
    return Reviewed(messages, searched, waiting)


def _set_aside(db: Connection, conversation_id: int) -> int:
    rows = store.waiting(db, conversation_id)
    for row in rows:
        store.settle(db, row.id, row.state, state="sending")
        outbox.uncertain(db, row, REASON)
    leases.forget_sending(db, conversation_id)
    return len(rows)
