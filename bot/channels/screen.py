"""The screen: a conversation in the terminal (`make talk`), the inside twin of the messaging platforms.

It takes the same path as theirs and leaves out the network: what is typed becomes an Incoming, what is answered is
read from the conversation's stream.
"""

from bot.channel import Account, Capabilities, Media
from bot.errors import DownloadFailed, SendFailed
from bot.message import Attachment, Incoming, Kind, Outgoing, Receipt


class Screen:
    """The channel object. It never sends: "sent" means that the message has its number in the stream."""

    kind = "screen"
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
        raise SendFailed("the screen is read by the customer, never sent", permanent=True)

    def download(self, attachment: Attachment) -> Media:
        raise DownloadFailed("the screen takes no files", permanent=True)

    def close(self) -> None:
        """Nothing to close."""


def typed(sender: str, key: str, text: str, language: str = "") -> Incoming:
    """A line that was typed."""
    return Incoming(event_key=key, kind=Kind.TEXT, sender=sender, text=text, language=language)


def tapped(sender: str, key: str, payload: str) -> Incoming:
    """A button that was chosen by its number."""
    return Incoming(event_key=key, kind=Kind.TAP, sender=sender, payload=payload)
