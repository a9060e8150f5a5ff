"""The web chat API, /chat/v1: sessions, messages, events, history (docs/webchat.md, static/openapi.yml)."""

import json
import threading
from collections import Counter
from typing import Any

import yaml
from flask import Blueprint, Response, current_app, jsonify, request

from bot.channels import webchat as channel
from bot.channels.webchat import Refused
from bot.pressure import BACKLOG, DISK
from bot.store import conversations
from webhooks import body, uploads, visits, wire
from webhooks.admission import admit
from webhooks.problems import Problem, language
from webhooks.product import product, webchat
from webhooks.stream import Stream

LARGEST_BODY = 64 * 1024  # bytes; 4,000 characters escaped as \\uXXXX pairs are 48 KiB
STREAMS_PER_SESSION = 6  # open pages of one customer in one process
SEND_PATIENCE = 30.0  # seconds that a reader may leave us standing before the connection is cut

blueprint = Blueprint("webchat", __name__, url_prefix="/chat")
blueprint.after_request(visits.allow_origin)
_open: Counter[str] = Counter()
_open_lock = threading.Lock()


@blueprint.before_request
def _limits() -> None:
    if request.path.startswith("/chat/v1/"):
        visits.limit_address()
    body.take(LARGEST_BODY)


@blueprint.post("/v1/sessions")
def begin() -> tuple[Response, int]:
    visits.limit("session", visits.address(), visits.SESSIONS_PER_ADDRESS)
    chosen = channel.language_of(_body() if request.get_data() else {}, required=False) or language()
    token = visits.begin(chosen)
    response = jsonify(token=token, language=chosen)
    if visits.from_our_page():
        visits.keep_cookie(response, token)
    return response, 201


@blueprint.post("/v1/messages")
def send() -> tuple[Response, int]:
    visit = visits.current()
    visits.limit("message", visit.token_hash, visits.MESSAGES_PER_SESSION)
    said = _body()
    incoming = uploads.resolved(visit, channel.incoming(visit.visitor, visit.language, said))
    admit((incoming,), (DISK, BACKLOG))
    if incoming.language != visit.language:
        visits.speak(visit, incoming.language)
    accepted = product().inbox.accept(webchat(), incoming)
    answer = {"id": said["id"], "sequence": accepted.sequence, "duplicate": accepted.duplicate}
    return jsonify(answer), 202


@blueprint.post("/v1/language")
def speak() -> Response:
    visit = visits.current()
    visits.limit("message", visit.token_hash, visits.MESSAGES_PER_SESSION)
    chosen = channel.language_of(_body(), required=True)
    visits.speak(visit, chosen)
    return jsonify(language=chosen)


@blueprint.get("/v1/history")
def history() -> Response:
    visit = visits.current()
    visits.limit("read", visit.token_hash, visits.READS_PER_SESSION)
    visits.seen(visit)
    with product().database.read() as db:
        found = conversations.of_sender(db, webchat().id, visit.visitor)
        return jsonify(wire.history(db, product().texts, found, visit.language))


@blueprint.get("/v1/transcript")
def transcript() -> Response:
    """Everything that the customer may see, as a text to be kept."""
    visit = visits.current()
    visits.limit("read", visit.token_hash, visits.READS_PER_SESSION)
    with product().database.read() as db:
        found = conversations.of_sender(db, webchat().id, visit.visitor)
        if found is None:
            raise Problem(404, "nothing_said")
        written = wire.as_text(db, product().texts, found)
    response = Response(written, mimetype="text/plain")
    response.headers.set("Content-Disposition", "attachment", filename=f"tingsu-{found.id}.txt")
    return response


@blueprint.get("/v1/events")
def events() -> Response:
    visit = visits.current()
    visits.limit("read", visit.token_hash, visits.READS_PER_SESSION)
    stream = Stream(product(), webchat().id, visit.visitor, _after())
    _cut_slow_readers()
    _count_in(visit.token_hash)
    response = Response(stream.events(), mimetype="text/event-stream")
    response.call_on_close(stream.close)  # a generator that never started has no `finally`
    response.call_on_close(lambda: _count_out(visit.token_hash))
    response.headers["X-Accel-Buffering"] = "no"  # nginx would hold events back
    return response


@blueprint.get("/openapi.json")
def openapi() -> Response:
    with current_app.open_resource("static/openapi.yml") as file:
        return jsonify(yaml.safe_load(file))


def _body() -> Any:
    """The JSON of the request. Raises Problem 415 or Refused."""
    if not request.is_json:
        raise Problem(415, "bad_type")
    try:
        return json.loads(request.get_data())
    except (ValueError, RecursionError):
        raise Refused("not_json") from None


def _after() -> int:
    """A reconnecting browser's Last-Event-ID is newer than the address that it was opened with."""
    raw = request.headers.get("Last-Event-ID") or request.args.get("after") or "0"
    if not (raw.isascii() and raw.isdigit() and len(raw) <= 9):
        raise Refused("after")
    return int(raw)


def _count_in(token_hash: str) -> None:
    """Raises Problem 429 when this session has too many pages open."""
    with _open_lock:
        if _open[token_hash] >= STREAMS_PER_SESSION:
            raise Problem(429, "streams", retry_after=30)
        _open[token_hash] += 1


def _count_out(token_hash: str) -> None:
    with _open_lock:
        _open[token_hash] -= 1
        if not _open[token_hash]:
            del _open[token_hash]


def _cut_slow_readers() -> None:
    """Under gunicorn a write to a full socket waits as long as the socket's timeout says: for ever by default."""
    connection = request.environ.get("gunicorn.socket")
    if connection is not None:
        connection.settimeout(SEND_PATIENCE)
