"""Dead letters and uncertain sends: what stopped, what matters most first, and what a person does about it."""

from dataclasses import dataclass
from datetime import timedelta

from flask import Blueprint, abort, redirect, render_template, request, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from bot.letters import REASONS, Outcome
from bot.store import conversations, facts
from bot.store import letters as store
from bot.store.letters import TABLES, Letter, Which
from bot.store.users import User
from bot.transcript import said_of
from console import access
from console.page import now, product
from console.queue import counts
from console.rows import gather

routes = Blueprint("letters", __name__, url_prefix="/letters")

SHOWN = 100
SINCE = {"1h": timedelta(hours=1), "24h": timedelta(days=1), "7d": timedelta(days=7)}


@dataclass(frozen=True)
class Item:
    """A letter with what people need to judge it. `text` is what would be sent, without a receipt's code."""

    letter: Letter
    customer: str
    text: str


@dataclass(frozen=True)
class Board:
    """Everything on the page, read in one transaction. `fact` says how far the truth was read."""

    items: list[Item]
    totals: dict[str, int]
    total: int
    fact: int


@routes.get("")
def page() -> str:
    return _render("letters.html")


@routes.get("/live")
def live() -> str:
    return _render("letters_live.html")


@routes.post("/<any(message, turn, ticket, file, event, change):kind>-<id:letter_id>/replay")
def replay(kind: str, letter_id: int) -> Response:
    return _done(product().letters.replay(kind, letter_id, access.user()))


@routes.post("/<any(message, turn, ticket, file, event, change):kind>-<id:letter_id>/discard")
def discard(kind: str, letter_id: int) -> Response:
    reason = request.form.get("reason", "")
    if reason not in REASONS:
        return _back("no_reason")
    return _done(product().letters.discard(kind, letter_id, reason, access.user()))


def _done(outcome: Outcome) -> Response:
    return _back(outcome.value)


def _back(did: str) -> Response:
    kind, since = request.form.get("kind") or None, request.form.get("since") or None
    return redirect(url_for("letters.page", did=did, kind=kind, since=since), 303)


def _render(template: str) -> str:
    user, kind, since = access.user(), request.args.get("kind", ""), request.args.get("since", "")
    if (kind and kind not in TABLES) or (since and since not in SINCE):
        abort(404)
    which = Which(kind, now() - SINCE[since] if since else None)
    with product().database.read() as db:
        board, numbers = _read(db, which, user), counts(db, user)
    return render_template(
        template,
        board=board,
        counts=numbers,
        kind=kind,
        since_=since,
        kinds=list(TABLES),
        sinces=list(SINCE),
        reasons=REASONS,
        did=_known(request.args.get("did", "")),
        shown=SHOWN,
    )


def _known(did: str) -> str:
    """What may be announced after a redirect."""
    return did if did in {*(outcome.value for outcome in Outcome), "no_reason"} else ""


def _read(db: Connection, which: Which, user: User) -> Board:
    fact = facts.newest(db)  # first: what commits later is told by the stream
    found = store.find(db, which, limit=SHOWN)
    ids = {letter.conversation_id for letter in found if letter.conversation_id is not None}
    known = [c for c in (conversations.read(db, number) for number in sorted(ids)) if c is not None]
    names = {row.conversation.id: row.customer for row in gather(db, product().seal, known)}
    items = [
        Item(
            letter,
            names.get(letter.conversation_id or 0, ""),
            said_of(db, product().texts, letter.id) if letter.kind == "message" else "",
        )
        for letter in found
    ]
    totals = store.counts(db, which)
    return Board(items, totals, sum(totals.values()), fact)
