"""Server-sent events that tell an open page that something changed; the page then reads what it shows again."""

import time
from collections.abc import Iterator

from flask import Blueprint, Response, abort, request

from bot.live import Subscription
from bot.store import conversations, facts
from bot.store.facts import Fact
from console.page import product

routes = Blueprint("stream", __name__)

HEARTBEAT = 15.0  # seconds; proxies cut streams that stay silent for 30 to 60
LONGEST = 15 * 60.0  # seconds; then the browser comes back, and its login is looked at again
_TOGETHER = 0.15  # seconds: what is committed in that time is one nudge

# What changes a list: who waits, who answers, who has written, what is filed or promised.
_LISTED = ("conversation.", "message.", "complaint.", "promise.", "turn.")
# What stops, and what a person does about it: the number in the header.
_STOPPED = ("outbox.dead", "outbox.uncertain", "ticket.", "attachment.", "change.dead", "letter.")


@routes.get("/stream")
def events() -> Response:
    """`?conversation=` adds nudges for that one; `?after=` is the newest fact that the page has seen."""
    conversation_id = _number(request.args.get("conversation", "0"))
    after = _number(request.headers.get("Last-Event-ID") or request.args.get("after", "0"))
    with product().database.read() as db:
        if conversation_id and conversations.read(db, conversation_id) is None:
            abort(404)
    subscription = product().live.subscribe()
    with product().database.read() as db:
        newest = facts.newest(db)
    answer = Response(_nudges(subscription, conversation_id, after, newest), mimetype="text/event-stream")
    answer.headers["X-Accel-Buffering"] = "no"
    answer.call_on_close(subscription.close)
    return answer


def _number(raw: str) -> int:
    if not (raw.isascii() and raw.isdigit() and len(raw) < 16):
        abort(400)
    return int(raw)


def _nudges(subscription: Subscription, conversation_id: int, after: int, newest: int) -> Iterator[str]:
    """`inbox` when a list may look different, `chat` when the conversation does; the id is the fact's number."""
    yield "retry: 1000\n\n"
    if newest > after:  # something happened while nobody listened
        yield _event("inbox", newest) + (_event("chat", newest) if conversation_id else "")
    ends = time.monotonic() + LONGEST
    while time.monotonic() < ends and not subscription.cut:
        names, last = _gather(subscription, conversation_id)
        yield "".join(_event(name, last) for name in names) if names else ": still here\n\n"


def _gather(subscription: Subscription, conversation_id: int) -> tuple[list[str], int]:
    """The names of the nudges that are due, and the newest fact among them."""
    names: set[str] = set()
    last, ends = 0, time.monotonic() + HEARTBEAT
    while (left := ends - time.monotonic()) > 0:
        fact = subscription.next(left)
        if fact is None:
            break
        wanted = _names(fact, conversation_id)
        if wanted and not names:
            ends = time.monotonic() + _TOGETHER
        if wanted:
            names |= wanted
            last = max(last, fact.id)
    return sorted(names), last


def _names(fact: Fact, conversation_id: int) -> set[str]:
    listed = {"inbox"} if fact.kind.startswith(_LISTED + _STOPPED) else set()
    here = conversation_id and fact.conversation_id == conversation_id
    return listed | {"chat"} if here else listed


def _event(name: str, fact_id: int) -> str:
    return f"id: {fact_id}\nevent: {name}\ndata: {fact_id}\n\n"
