"""Web chat: our own page and API at the public door (docs/webchat.md). Customers fetch; nothing is sent to them."""

import re
from collections.abc import Mapping

from bot.channel import Account, Capabilities, Media
from bot.errors import DownloadFailed, Malformed, SendFailed
from bot.message import Attachment, Incoming, Kind, Outgoing, Receipt

LONGEST_TEXT = 4_000  # characters (code points); what one person can be expected to read at once
LANGUAGES = ("zh", "en")
_FIELDS = frozenset({"id", "text", "tap", "language"})
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
        media_in=False,
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
        raise DownloadFailed("web chat takes no files", permanent=True)

    def close(self) -> None:
        """Nothing to close."""


def incoming(visitor: str, language: str, body: object) -> Incoming:
    """One message of the API, {id, text} or {id, tap}, either with language. Raises Refused."""
    fields = _object(body, _FIELDS)
    client_id = fields.get("id")
    if not isinstance(client_id, str) or not _CLIENT_ID.fullmatch(client_id):
        raise Refused("id")
    if ("text" in fields) == ("tap" in fields):
        raise Refused("text_or_tap")
    said = language_in(fields) if "language" in fields else language
    key = f"{visitor}:{client_id}"
    if "tap" in fields:
        return Incoming(key, Kind.TAP, visitor, payload=_payload(fields["tap"]), language=said)
    return Incoming(key, Kind.TEXT, visitor, text=_text(fields["text"]), language=said)


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
