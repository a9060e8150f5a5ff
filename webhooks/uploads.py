"""Files of web chat customers: looked into and kept before the message that they hang on, and given back to their owner.

A file's name is its number and a keyed hash over number and visitor: nobody else can hang it on a message, and nothing has
to be remembered. What is never hung on one is swept after a day (bot/retention.py).
"""

import hmac
from dataclasses import replace

from flask import Blueprint, Response, jsonify, make_response, request
from gevent.lock import BoundedSemaphore

from bot.channels.webchat import Refused as BadRequest
from bot.errors import ScannerDown
from bot.filetypes import ending
from bot.inspection import LARGEST, Refused
from bot.message import Incoming
from bot.store import blobs, conversations, inbox
from webhooks import body, visits
from webhooks.admission import admit_file
from webhooks.problems import Problem
from webhooks.product import product, webchat

AT_ONCE = 8  # files that one process has in its memory
UPLOAD_SECONDS = 90.0  # twenty megabytes over two megabits a second
PATIENCE = 20.0  # seconds that an upload waits for its turn
_KINDS = {"image": "photo", "audio": "audio", "video": "video"}
_PROOF = 32  # hexadecimal digits

blueprint = Blueprint("uploads", __name__, url_prefix="/chat/v1/files")
blueprint.before_request(visits.limit_address)
blueprint.after_request(visits.allow_origin)
_turns = BoundedSemaphore(AT_ONCE)


@blueprint.post("")
def upload() -> tuple[Response, int]:
    """The body is the file, whatever its type is said to be."""
    visit = visits.current()
    visits.limit("upload", visit.token_hash, visits.UPLOADS_PER_SESSION)
    visits.limit("upload from", visits.address(), visits.UPLOADS_PER_ADDRESS)
    admit_file()
    if not _turns.acquire(timeout=PATIENCE):
        raise Problem(503, "unavailable", retry_after=5)
    try:
        body.take(LARGEST + 1, UPLOAD_SECONDS)
        content, mime = _looked_into(request.get_data())
        blob_id = product().blobs.put(content, mime)
    finally:
        _turns.release()
    return jsonify(file=f"{blob_id}.{_proof(visit, blob_id)}", mime=mime, size=len(content)), 201


def _looked_into(content: bytes) -> tuple[bytes, str]:
    try:
        return product().inspection.look(content)
    except Refused as refused:
        raise Problem(422, f"file_{refused.reason}") from None
    except ScannerDown:
        raise Problem(503, "file_unchecked", retry_after=30) from None


def _proof(visit: visits.Visit, blob_id: int) -> str:
    return product().seal.digest("upload", f"{visit.visitor} {blob_id}")[:_PROOF]


def resolved(visit: visits.Visit, incoming: Incoming) -> Incoming:
    """The message with its files as we know them. Raises BadRequest for a file that is not this visitor's, or gone."""
    files = []
    for file in incoming.attachments:
        number, _, proof = file.channel_ref.partition(".")
        mime = _mime(int(number)) if hmac.compare_digest(proof, _proof(visit, int(number))) else None
        if mime is None:
            raise BadRequest("file")
        kind = _KINDS.get(mime.partition("/")[0], "document")
        files.append(replace(file, kind=kind, channel_ref="", mime=mime, blob_id=int(number)))
    return replace(incoming, attachments=tuple(files))


def _mime(blob_id: int) -> str | None:
    with product().database.read() as db:
        return blobs.type_of(db, blob_id)


@blueprint.get("/<int:attachment_id>")
def download(attachment_id: int) -> Response:
    """A file of the visitor's own: to be saved, never to be opened as a page of ours."""
    visit = visits.current()
    visits.limit("read", visit.token_hash, visits.READS_PER_SESSION)
    with product().database.read() as db:
        found = conversations.of_sender(db, webchat().id, visit.visitor)
        file = inbox.stored_file(db, found.id, attachment_id) if found and attachment_id < 2**63 else None
    stored = product().blobs.get(file.blob_id) if file and file.blob_id is not None else None
    if file is None or stored is None:
        raise Problem(404, "not_found")
    answer = make_response(stored[0])
    answer.headers["Content-Type"] = "application/octet-stream"
    answer.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    answer.headers.set("Content-Disposition", "attachment", filename=f"{file.kind}-{file.id}{ending(stored[1])}")
    return answer
