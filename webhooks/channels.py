"""The door for platforms: verify, parse, commit, and only then answer (promise P1)."""

from hashlib import sha256

import structlog
from flask import Blueprint, Response, request

from bot.channel import Account, Answer, Pushed, Request
from bot.errors import Forged, Malformed
from bot.message import Incoming, Kind
from bot.pressure import DISK
from webhooks import body
from webhooks.admission import admit
from webhooks.problems import Problem
from webhooks.product import product

LARGEST_BODY = 1024 * 1024  # bytes; a platform's update is a few KiB, media come by download

log = structlog.get_logger(__name__)
blueprint = Blueprint("channels", __name__)


@blueprint.route("/channels/<kind>/<slug>", methods=["GET", "POST"])
def receive(kind: str, slug: str) -> Response:
    """503 by the database's error handler: the platform then repeats."""
    account = product().accounts.get((kind, slug))
    channel: object = product().channels[account.id] if account else None  # which of the contracts it has is seen below
    if account is None or not isinstance(channel, Pushed):
        raise Problem(404, "not_found")
    body.take(LARGEST_BODY)
    answer = _ask(channel, account)
    # Not for a backlog: a platform may drop for good what is refused a few times, and our queue is the safer place.
    admit(answer.incoming, (DISK,))
    for incoming in answer.incoming:
        product().inbox.accept(account, incoming)
    return Response(answer.body, answer.status, content_type=answer.content_type)


def _ask(channel: Pushed, account: Account) -> Answer:
    """Forged: no row, and nothing of the request in the log but where it went."""
    try:
        return channel.receive(_request())
    except Forged:
        log.warning("channel.forged", kind=account.kind, slug=account.slug)
        raise Problem(403, "forged") from None
    except Malformed as error:
        return Answer(200, incoming=(_unreadable(error),))


def _unreadable(error: Malformed) -> Incoming:
    """Verified, so it is kept; the platform's repeats of it have the same key."""
    key = f"malformed:{sha256(request.get_data()).hexdigest()}"
    return Incoming(key, Kind.MALFORMED, detail=str(error)[:128])


def _request() -> Request:
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Request(request.method, request.args.to_dict(), headers, request.get_data())
