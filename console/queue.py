"""The inbox: who waits, what is mine, what everyone else has, and whom we promised to call back."""

from dataclasses import dataclass

from flask import Blueprint, render_template
from sqlalchemy import Connection, func, select

from bot.conversation import LEADING
from bot.store import complaints, conversations, facts, letters
from bot.store.complaints import Promise
from bot.store.conversations import conversation
from bot.store.letters import Which
from bot.store.users import User
from console import access
from console.page import product
from console.rows import Row, gather

routes = Blueprint("queue", __name__)

_OTHERS = 50  # of the conversations that neither wait nor are mine, the newest


@dataclass(frozen=True)
class Inbox:
    """Everything on the page, read in one transaction. `fact` says how far the truth was read."""

    waiting: list[Row]
    mine: list[Row]
    others: list[Row]
    callbacks: list[tuple[Promise, Row]]
    fact: int


@routes.get("/")
def inbox() -> str:
    return _render("inbox.html")


@routes.get("/inbox/live")
def live() -> str:
    return _render("inbox_live.html")


@routes.get("/inbox/counts")
def numbers() -> str:
    with product().database.read() as db:
        return render_template("counts.html", counts=counts(db, access.user()))


def counts(db: Connection, user: User) -> dict[str, int]:
    """How many wait and how many are mine, and for who leads what stopped: the numbers in every page's header."""
    c = conversation.c
    found = select(func.count()).select_from(conversation)
    return {
        "waiting": int(db.scalar(found.where(c.state == "queued")) or 0),
        "mine": int(db.scalar(found.where(c.state == "agent", c.owner_id == user.id)) or 0),
        "letters": sum(letters.counts(db, Which()).values()) if user.role in LEADING else 0,
    }


def _render(template: str) -> str:
    user = access.user()
    with product().database.read() as db:
        shown, numbers = _read(db, user), counts(db, user)
    return render_template(template, inbox=shown, counts=numbers)


def _read(db: Connection, user: User) -> Inbox:
    fact = facts.newest(db)  # first: what commits later is told by the stream
    seal = product().seal
    mine = conversations.owned(db, user.id)
    others = [c for c in conversations.recent(db, _OTHERS) if c.state != "queued" and c.owner_id != user.id]
    return Inbox(
        waiting=gather(db, seal, conversations.queue(db)),
        mine=gather(db, seal, mine),
        others=gather(db, seal, others),
        callbacks=_callbacks(db),
        fact=fact,
    )


def _callbacks(db: Connection) -> list[tuple[Promise, Row]]:
    promises = complaints.open_promises(db, "callback")
    found = [conversations.read(db, promise.conversation_id) for promise in promises]
    rows = gather(db, product().seal, [c for c in found if c is not None])
    return list(zip(promises, rows, strict=True))
