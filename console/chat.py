"""One conversation: what was said, what is known, who answers, and what an agent does about it."""

import json
import re
import uuid
from dataclasses import dataclass, field

from flask import Blueprint, Response, abort, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from bot.conversation import LEADING
from bot.desk import TicketState
from bot.errors import Newer, NotYours
from bot.letters import Outcome
from bot.outbox import agent_key
from bot.required import missing
from bot.store import conversations, outbox
from console import access
from console.page import name_of, owner_of, product
from console.queue import counts
from console.reading import file_of, read, told

routes = Blueprint("chat", __name__, url_prefix="/conversations/<id:conversation_id>")

LONGEST_REPLY = 4_000  # characters; no channel shows more in one go
_CLIENT_ID = re.compile(r"^[A-Za-z0-9-]{8,64}$")
# What may be announced after a redirect.
_DONE = frozenset(
    {
        "claimed",
        "claimed_uncertain",
        "sent",
        "sent_before",
        "released",
        "closed",
        "held_sent",
        "state.done",
        "letter.replayed",
        "letter.discarded",
    }
)


@dataclass(frozen=True)
class Banner:
    """What the page says about the last action: a text key under `chat.said.` and its arguments."""

    key: str
    good: bool = False
    args: dict[str, str | int] = field(default_factory=dict)


@routes.get("")
def show(conversation_id: int) -> AnyResponse:
    did = request.args.get("did", "")
    count = request.args.get("n", "")
    banner = Banner(did, good=True, args={"n": count if count.isdigit() else "0"}) if did in _DONE else None
    return _render("chat.html", conversation_id, banner)


@routes.get("/live")
def live(conversation_id: int) -> AnyResponse:
    return _render("chat_live.html", conversation_id, None)


@routes.get("/attachments/<id:attachment_id>")
def attachment(conversation_id: int, attachment_id: int) -> Response:
    """A customer's file: to be saved, never to be opened as a page of ours."""
    found = file_of(conversation_id, attachment_id)
    if found is None:
        abort(404)
    answer = make_response(found.content)
    answer.headers["Content-Type"] = "application/octet-stream"
    answer.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    answer.headers.set("Content-Disposition", "attachment", filename=found.name)
    return answer


@routes.post("/claim")
def claim(conversation_id: int) -> AnyResponse:
    epoch, user = _number("seen_epoch"), access.user()
    if epoch is None:
        return answer(conversation_id, Banner("stale_form"), 400)
    try:
        claimed = product().ownership.claim(conversation_id, epoch, user)
    except NotYours as moved:
        if moved.owner == user.name:  # clicked twice
            return answer(conversation_id, Banner("claimed", good=True))
        return _moved(conversation_id, moved)
    except LookupError:
        abort(404)
    if claimed.uncertain:
        return answer(conversation_id, Banner("claimed_uncertain", good=True, args={"n": claimed.uncertain}))
    return answer(conversation_id, Banner("claimed", good=True))


@routes.post("/reply")
def reply(conversation_id: int) -> AnyResponse:
    text = _typed("text")
    client_id, seen = request.form.get("client_id", ""), _number("seen_sequence")
    problem = _reply_problem(text, client_id, seen)
    if problem or seen is None:
        args: dict[str, str | int] = {"n": len(text), "most": LONGEST_REPLY}
        return answer(conversation_id, Banner(problem, args=args), 400, draft=text)
    try:
        written = product().ownership.reply(conversation_id, access.user(), client_id, text, seen)
    except NotYours as moved:
        return _moved(conversation_id, moved, draft=text)
    except LookupError:
        abort(404)
    if (
        not written and _sent_text(conversation_id, client_id) != text
    ):  # an answer got lost, and the text was changed since
        return answer(conversation_id, Banner("sent_other"), 409, draft=text)
    return answer(conversation_id, Banner("sent" if written else "sent_before", good=True), sent=True)


@routes.post("/release")
def release(conversation_id: int) -> AnyResponse:
    epoch, seen = _number("seen_epoch"), _number("seen_sequence")
    if epoch is None or seen is None:
        return answer(conversation_id, Banner("stale_form"), 400)
    try:
        product().ownership.release(conversation_id, access.user(), epoch, seen)
    except NotYours as moved:
        return _moved(conversation_id, moved)
    except LookupError:
        abort(404)
    return answer(conversation_id, Banner("released", good=True))


@routes.post("/close")
def close(conversation_id: int) -> AnyResponse:
    epoch, seen = _number("seen_epoch"), _number("seen_sequence")
    if epoch is None or seen is None:
        return answer(conversation_id, Banner("stale_form"), 400)
    try:
        product().ownership.close(conversation_id, access.user(), epoch, seen)
    except Newer:
        return answer(conversation_id, Banner("newer"), 409)
    except NotYours as moved:
        return _moved(conversation_id, moved)
    except LookupError:
        abort(404)
    return answer(conversation_id, Banner("closed", good=True))


@routes.post("/held")
def held(conversation_id: int) -> AnyResponse:
    try:
        count = product().ownership.send_held(conversation_id, access.user())
    except NotYours as moved:
        return _moved(conversation_id, moved)
    except LookupError:
        abort(404)
    return answer(conversation_id, Banner("held_sent", good=True, args={"n": count}))


@routes.post("/again")
def again(conversation_id: int) -> AnyResponse:
    """A message that did not arrive, or perhaps not, is sent once more."""
    row_id = _stopped(conversation_id)
    outcome = product().letters.replay("message", row_id, access.user())
    return _decided(conversation_id, outcome)


@routes.post("/leave")
def leave(conversation_id: int) -> AnyResponse:
    """It stays as it is: whoever has the conversation has seen to it."""
    row_id = _stopped(conversation_id)
    outcome = product().letters.discard("message", row_id, "handled", access.user())
    return _decided(conversation_id, outcome)


def _stopped(conversation_id: int) -> int:
    """The message that the form names; only who has the conversation, or leads, decides about it."""
    row_id, user = _number("message"), access.user()
    with product().database.read() as db:
        found = conversations.read(db, conversation_id)
        row = outbox.read(db, row_id) if row_id else None
    if found is None or row is None or row.conversation_id != conversation_id:
        abort(404)
    if user.role not in LEADING and not (found.state == "agent" and found.owner_id == user.id):
        abort(403)
    return row.id


def _decided(conversation_id: int, outcome: Outcome) -> AnyResponse:
    good = outcome in (Outcome.REPLAYED, Outcome.DISCARDED)
    return answer(conversation_id, Banner(f"letter.{outcome.value}", good=good), 200 if good else 409)


def answer(
    conversation_id: int, banner: Banner, status: int = 200, *, draft: str = "", sent: bool = False
) -> AnyResponse:
    """The fresh state with what happened: a fragment for a live page, else a redirect or the whole page."""
    if "HX-Request" in request.headers:
        fragment = _render("chat_live.html", conversation_id, banner, status)
        if sent:
            fragment.headers["HX-Trigger"] = json.dumps({"tingsu:sent": {"client": uuid.uuid4().hex}})
        return fragment
    if banner.good:
        return redirect(_page_after(conversation_id, banner), 303)
    return _render("chat.html", conversation_id, banner, status, draft=draft)


def _page_after(conversation_id: int, banner: Banner) -> str:
    return url_for("chat.show", conversation_id=conversation_id, did=banner.key, n=banner.args.get("n"))


def _moved(conversation_id: int, moved: NotYours, draft: str = "") -> AnyResponse:
    """Someone was faster: says who answers now, and shows what is."""
    return answer(conversation_id, Banner("moved", args={"owner": owner_of(moved.owner)}), 409, draft=draft)


def _render(
    template: str, conversation_id: int, banner: Banner | None, status: int = 200, *, draft: str = ""
) -> Response:
    user = access.user()
    with product().database.read() as db:
        chat, numbers = read(db, conversation_id, user), counts(db, user)
    if chat is None:
        abort(404)
    shown = render_template(
        template,
        chat=chat,
        counts=numbers,
        banner=banner,
        draft=draft,
        client_id=uuid.uuid4().hex,
        most=LONGEST_REPLY,
        told=lambda complaint: told(complaint.fields),
        missing=lambda complaint: [name_of("slot", name) for name in missing(complaint.category, complaint.fields)],
        states=[state.value for state in TicketState],
    )
    response = make_response(shown, status)
    response.headers["X-Tingsu-Fragment"] = "1"  # tells console.js that an error's body is the fresh state, too
    return response


def _typed(name: str) -> str:
    """Text as it was typed: form posts carry CR LF, and no database keeps NUL."""
    return request.form.get(name, "").replace("\r\n", "\n").replace("\x00", "")


def _number(name: str) -> int | None:
    raw = request.form.get(name, "")
    return int(raw) if raw.isascii() and raw.isdigit() and len(raw) < 10 else None


def _reply_problem(text: str, client_id: str, seen: int | None) -> str:
    if not text.strip():
        return "empty"
    if len(text) > LONGEST_REPLY:
        return "too_long"
    return "stale_form" if seen is None or not _CLIENT_ID.match(client_id) else ""


def _sent_text(conversation_id: int, client_id: str) -> str | None:
    key = agent_key(conversation_id, access.user().id, client_id)
    with product().database.read() as db:
        row = outbox.by_key(db, key)
    return row.text if row else None
