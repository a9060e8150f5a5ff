"""The channel contract: what a file in `bot/channels/` gives, and nothing more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from bot.message import Attachment, Incoming, Outgoing, Receipt


@dataclass(frozen=True)
class Capabilities:
    """What the platform can carry. `text_limit` is in units of `counted_in`; 0 means no limit.

    `per_second`: messages that it takes from one account, all customers together; 0 means as many as we have.
    """

    text_limit: int
    counted_in: str  # utf16, graphemes, hanzi, characters
    buttons: bool
    media_in: bool
    media_out: bool
    public: bool
    pulled: bool  # customers fetch: "sent" means committed to the conversation's stream
    edits_reported: bool
    per_second: int = 0


@dataclass(frozen=True)
class Account:
    """One account of a channel at one platform, as the database has it, secrets decrypted."""

    id: int
    kind: str
    slug: str
    secret: str = ""
    previous_secret: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """An HTTP request as a channel sees it: nothing of a web framework. Header names in lower case."""

    method: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What to answer the platform, and what it told us."""

    status: int
    body: str = ""
    content_type: str = "text/plain; charset=utf-8"
    incoming: Sequence[Incoming] = ()


@dataclass(frozen=True)
class Batch:
    """What a polled channel had for us. `cursor` is committed together with the events."""

    incoming: Sequence[Incoming]
    cursor: str


@dataclass(frozen=True)
class Media:
    """The bytes of an attachment and the type that the platform claims."""

    content: bytes
    mime: str


class Channel(Protocol):
    """Every channel. `send` belongs to the worker's process only.

    `send` raises SendFailed, SendUncertain or Throttled, and nothing of the vendor's; it has one total
    deadline, `SEND_DEADLINE` seconds. Pulled channels are never asked to send.
    """

    kind: str
    capabilities: Capabilities

    def send(self, outgoing: Outgoing) -> Receipt: ...

    def download(self, attachment: Attachment) -> Media:
        """Raises DownloadFailed."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Pushed(Protocol):
    """A channel whose platform posts to us. Raises Forged (403, no row) or Malformed (200, recorded)."""

    def receive(self, request: Request) -> Answer: ...


@runtime_checkable
class Polled(Protocol):
    """A channel that we ask. Raises SendFailed or Throttled when the platform cannot be asked."""

    def register(self) -> bool:
        """Tells the platform how events shall come; False when it posts them and polling is not wanted."""
        ...

    def fetch(self, cursor: str) -> Batch:
        """May wait up to POLL_WAIT seconds at the platform; `cursor` is "" the first time."""
        ...

    def close(self) -> None: ...


SEND_DEADLINE = 8.0  # seconds for one send, connection and retries inside the channel included
POLL_WAIT = 10.0  # seconds that a long poll may stay open
