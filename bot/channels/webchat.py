"""Web chat: our own page and API at the public door (docs/webchat.md). Customers fetch; nothing is sent to them."""

import re
from collections.abc import Mapping

from bot.channel import Account, Capabilities, Media
from bot.errors import DownloadFailed, Malformed, SendFailed
from bot.message import Attachment, Incoming, Kind, Outgoing, Receipt

LONGEST_TEXT = 4_000  # characters (code points); what one person can be expected to read at once
LANGUAGES = ("zh", "en")
MOST_FILES = 5  # in one message
_FIELDS = frozenset({"id", "text", "tap", "files", "language"})
_FILE = re.compile(r"\d{1,18}\.[0-9a-f]{32}")  # as the door gave it out, webhooks/uploads.py
_LONGEST_NAME = 128
_CLIENT_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_WIRE_PAYLOAD = re.compile(r"[!-~]{1,64}")  # visible ASCII; whether it fits the open question is judged later
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class Refused(Malformed):
    """A request to our own API that is answered 400. `code` names a text `webchat.refused.<code>`."""

    def __init__(self, code: str, **args: str | int) -> None:
        super().__init__(code)
        self.code = code
        self.args_for_text = args


class WebChat:
    """The channel object. It never sends: "sent" means that the message has its number in the stream."""

    kind = "webchat"
    capabilities = Capabilities(
        text_limit=0,
        counted_in="characters",
        buttons=True,
        media_in=True,
        media_out=False,
        public=False,
        pulled=True,
        edits_reported=False,
    )

    def __init__(self, account: Account) -> None:
        self.account = account

    def send(self, outgoing: Outgoing) -> Receipt:
        raise SendFailed("web chat is fetched by the customer, never sent", permanent=True)

    def download(self, attachment: Attachment) -> Media:
        raise DownloadFailed("a web chat's file is uploaded before its message", permanent=True)

    def close(self) -> None:
        """Nothing to close."""


def incoming(visitor: str, language: str, body: object) -> Incoming:
    """One message of the API: {id} with text, files or both, or with tap; each with language if it likes.

    Raises Refused. What the files are is the door's to say: it has given out their names.
    """
    fields = _object(body, _FIELDS)
    client_id = fields.get("id")
    if not isinstance(client_id, str) or not _CLIENT_ID.fullmatch(client_id):
        raise Refused("id")
    if ("text" in fields or "files" in fields) == ("tap" in fields):
        raise Refused("text_or_tap")
    said = language_in(fields) if "language" in fields else language
    key = f"{visitor}:{client_id}"
    if "tap" in fields:
        return Incoming(key, Kind.TAP, visitor, payload=_payload(fields["tap"]), language=said)
    text = _text(fields["text"]) if "text" in fields else ""
    if "files" not in fields:
        return Incoming(key, Kind.TEXT, visitor, text=text, language=said)
    return Incoming(key, Kind.MEDIA, visitor, text=text, attachments=_files(fields["files"]), language=said)


def _files(value: object) -> tuple[Attachment, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= MOST_FILES:
        raise Refused("files", limit=MOST_FILES)
    files = tuple(_file(one) for one in value)
    if len({file.channel_ref for file in files}) < len(files):
        raise Refused("file")
    return files


def _file(value: object) -> Attachment:
    if not isinstance(value, dict) or not {"file", "name"}.issuperset(value):
        raise Refused("file")
    file, name = value.get("file"), value.get("name", "")
    if not isinstance(file, str) or not _FILE.fullmatch(file) or not isinstance(name, str):
        raise Refused("file")
    kept = "".join(char for char in name if char.isprintable())[:_LONGEST_NAME]
    return Attachment("document", file, kept)


def language_of(body: object, *, required: bool) -> str:
    """The language of {language}; "" when it is left out and may be. Raises Refused."""
    fields = _object(body, frozenset({"language"}))
    return language_in(fields) if required or "language" in fields else ""


def language_in(fields: Mapping[str, object]) -> str:
    value = fields.get("language")
    if not isinstance(value, str) or value not in LANGUAGES:
        raise Refused("language")
    return value


def _object(body: object, known: frozenset[str]) -> Mapping[str, object]:
    if not isinstance(body, dict):
        raise Refused("not_an_object")
    if not known.issuperset(body):
        raise Refused("unknown_field")
    return body


def _payload(value: object) -> str:
    if not isinstance(value, str) or not _WIRE_PAYLOAD.fullmatch(value):
        raise Refused("tap")
    return value


def _text(value: object) -> str:
    """The text as it was typed. What PostgreSQL or UTF-8 cannot hold is refused rather than changed."""
    if not isinstance(value, str):
        raise Refused("not_text")
    if not value.strip():
        raise Refused("empty")
    if len(value) > LONGEST_TEXT:
        raise Refused("too_long", limit=f"{LONGEST_TEXT:,}")
    if "\x00" in value or _SURROGATE.search(value):
        raise Refused("characters")
    return value
