"""What one Telegram message carries: words, files, a place, a contact, or something that we cannot read.

Every kind of https://core.telegram.org/bots/api#message has its line here or in `telegram_updates.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from telegram import Contact, Location, Message, Venue
from telegram.constants import MessageAttachmentType
from telegram.helpers import effective_message_type

from bot.message import Attachment, Kind

_LARGEST_ID = 2**63  # JSON numbers have no end, keys and columns do
_LONGEST_ID = 128  # characters; Telegram's own are shorter
# What a person sends and waits for an answer to; the other kinds are service notes ("pinned a message").
# A message without any part that this version knows may well be a new thing to send: it is answered too.
UNKNOWN = "unknown"
_CONTENT = frozenset({UNKNOWN, *(kind.value for kind in MessageAttachmentType)})


SPOKEN = (_CONTENT - {UNKNOWN}) | {"text"}  # what a person says, as against what Telegram notes about a chat


@dataclass(frozen=True)
class Content:
    """`detail` is Telegram's word for it; `wants_answer` marks what we cannot read and a person has sent."""

    kind: Kind
    text: str
    detail: str
    attachments: tuple[Attachment, ...] = ()
    wants_answer: bool = False


def content(message: Message) -> Content:
    # A venue has a location too, for programs that know no venues.
    detail = "venue" if message.venue else str(effective_message_type(message) or UNKNOWN)
    if detail == "text":
        return Content(Kind.TEXT, string(message.text), detail)
    if detail in _WORDS:
        return Content(Kind.TEXT, _WORDS[detail](message), detail)
    caption = string(message.caption or "")
    if detail in _FILES:
        return Content(Kind.MEDIA, caption, detail, (_FILES[detail](message),))
    return Content(Kind.OTHER, caption, detail, wants_answer=detail in _CONTENT)


def _photo(message: Message) -> Attachment:
    photo = max(message.photo, key=lambda size: size.width * size.height)
    return Attachment("photo", token(photo.file_id), mime="image/jpeg", size=size_of(photo))


def _file(kind: str, mime: str = "") -> Callable[[Message], Attachment]:
    """`mime` is what Telegram makes of it where the message does not say."""

    def read(message: Message) -> Attachment:
        found = getattr(message, kind)
        name = clip(getattr(found, "file_name", None), 255)
        claimed = clip(getattr(found, "mime_type", None), 127) or mime
        return Attachment(kind, token(found.file_id), name, claimed, size_of(found))

    return read


# A moving picture is a video without sound; what it says of a document as well is only for old programs.
_FILES: Mapping[str, Callable[[Message], Attachment]] = {
    "photo": _photo,
    "voice": _file("voice", "audio/ogg"),
    "audio": _file("audio", "audio/mpeg"),
    "video": _file("video", "video/mp4"),
    "video_note": _file("video_note", "video/mp4"),
    "animation": _file("animation", "video/mp4"),
    "document": _file("document"),
}


def _geo(place: Location) -> str:
    """As RFC 5870 writes a place; five decimals are about a metre."""
    return f"geo:{float(place.latitude):.5f},{float(place.longitude):.5f}"


def _location(message: Message) -> str:
    assert isinstance(message.location, Location)  # noqa: S101 - the library said that it is one
    return _geo(message.location)


def _venue(message: Message) -> str:
    assert isinstance(message.venue, Venue)  # noqa: S101
    return f"{string(message.venue.address)} {string(message.venue.title)} {_geo(message.venue.location)}"


def _contact(message: Message) -> str:
    assert isinstance(message.contact, Contact)  # noqa: S101
    names = (string(message.contact.first_name), string(message.contact.last_name or ""))
    return f"{' '.join(filter(None, names))} {string(message.contact.phone_number)}"


# These tell us something in words, though nobody typed them.
_WORDS: Mapping[str, Callable[[Message], str]] = {"location": _location, "venue": _venue, "contact": _contact}


def size_of(file: Any) -> int | None:
    return whole(file.file_size)


def token(value: object) -> str:
    """An id of Telegram's that is a short string."""
    fits = isinstance(value, str) and value.isascii() and value.isprintable() and 0 < len(value) <= _LONGEST_ID
    if not fits:
        raise ValueError("not an id")
    return str(value)


def whole(value: object) -> int | None:
    """A number that is one, and that every column can hold."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if abs(value) < _LARGEST_ID else None


def checked(value: object) -> int:
    found = whole(value)
    if found is None:
        raise ValueError("not an id")
    return found


def string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a string")
    return value


def clip(value: object, length: int) -> str:
    """Short and storable everywhere; empty when it is no string."""
    return "".join(char for char in value if char.isprintable())[:length] if isinstance(value, str) else ""
