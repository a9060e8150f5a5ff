"""The words that everything else speaks: what comes in, what goes out, and what hangs on it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """What an inbound event is. Only TEXT, MEDIA and TAP make turns or reopen a closed conversation."""

    TEXT = "text"
    MEDIA = "media"
    TAP = "tap"
    EDIT = "edit"
    OTHER = "other"  # verified, but nothing that we can answer with a turn: sticker, poll, unknown …
    MALFORMED = "malformed"  # verified, but not readable: recorded, no conversation


TURN_KINDS = frozenset({Kind.TEXT, Kind.MEDIA, Kind.TAP})


@dataclass(frozen=True)
class Attachment:
    """A file that a customer sent. `channel_ref` is what the channel needs to download it.

    With `blob_id` it has been uploaded to us, and looked into, before the message that it hangs on.
    """

    kind: str  # photo, voice, audio, video, document
    channel_ref: str
    name: str = ""
    mime: str = ""
    size: int | None = None  # bytes, as the platform says; never trusted
    blob_id: int | None = None


@dataclass(frozen=True)
class Incoming:
    """One event of a channel, verified and parsed, before it is stored.

    `event_key` is unique within the channel account and the same each time the platform repeats the event.
    `sender` is the platform's stable id of the person; empty for events without one (then no conversation).
    `payload` is the wire form of a button tap (kind TAP) and never typed text.
    `wants_answer` marks kinds OTHER behind which a person waits for a reaction.
    """

    event_key: str
    kind: Kind
    sender: str = ""
    text: str = ""
    payload: str = ""
    attachments: tuple[Attachment, ...] = ()
    language: str = ""  # as the platform says, a hint only
    display_name: str = ""
    platform_time: datetime | None = None
    replaces: str = ""  # kind EDIT: event key of the message that was edited
    wants_answer: bool = False
    detail: str = ""  # kind OTHER/MALFORMED: the platform's word for it, for the disposition
    raw: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Button:
    """A choice under a message. `payload` is the wire form (at most 64 bytes), `label` what people read."""

    payload: str
    label: str


@dataclass(frozen=True)
class Outgoing:
    """One message to a customer, rendered, and no longer than the channel takes."""

    recipient: str  # Incoming.sender
    text: str
    buttons: tuple[Button, ...] = ()
    key: str = ""  # idempotency key, for platforms that honour one


@dataclass(frozen=True)
class Receipt:
    """The platform's word that it took an Outgoing."""

    platform_id: str
