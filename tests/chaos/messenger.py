"""A pushed platform inside the test process: what arrived, and when a claim returned, on one ledger in one order."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from bot.build import Product
from bot.channel import Account, Capabilities, Media
from bot.faults import Faults, Moment
from bot.message import Attachment, Outgoing, Receipt
from bot.store.database import Database
from tests.files import picture

JPEG = picture()
AGENT = "agent:"  # first part of the key of what a person wrote


class Killed(BaseException):
    """This thread's process is dead: no handler of the product may run after it."""


@dataclass(frozen=True)
class Entry:
    """Something that happened at this place in the ledger: `what` is an outbox key, or "claimed"."""

    recipient: str
    what: str
    text: str = ""


class Messenger:
    """Stands in for the screen's channel. `on_send` is the network: it may wait, raise, or let other things happen."""

    kind = "screen"
    capabilities = Capabilities(0, "characters", True, True, False, False, False, False)

    def __init__(self) -> None:
        self.ledger: list[Entry] = []
        self.on_send: Callable[[Outgoing, Callable[[], None]], None] = lambda _outgoing, arrive: arrive()
        self._lock = threading.Lock()

    def note(self, entry: Entry) -> None:
        with self._lock:
            self.ledger.append(entry)

    def send(self, outgoing: Outgoing) -> Receipt:
        """The platform has the message once `arrive` is called; it takes it once."""
        self.on_send(outgoing, lambda: self.note(Entry(outgoing.recipient, outgoing.key, outgoing.text)))
        return Receipt(outgoing.key[:64])

    def download(self, attachment: Attachment) -> Media:
        return Media(JPEG, "image/jpeg")

    def close(self) -> None:
        """Nothing to close."""


def connect(product: Product, messenger: Messenger) -> Account:
    """The product's screen account, from now on behind this messenger."""
    account = product.accounts["screen", "main"]
    product.channels._made[account.id] = messenger
    return account


def leaks(ledger: list[Entry]) -> list[Entry]:
    """Messages of the bot that arrived after a claim of their conversation had returned clean."""
    silent: set[str] = set()
    found = []
    for entry in ledger:
        if entry.what == "claimed":
            silent.add(entry.recipient)
        elif entry.recipient in silent and not entry.what.startswith(AGENT):
            found.append(entry)
    return found


class Mortal(Faults):
    """One worker's or sender's life: at the moment that `doomed` names it dies, and nothing it does counts any more."""

    def __init__(self, doomed: Callable[[Moment], bool] = lambda moment: False) -> None:
        self.doomed = doomed
        self.dead = False

    def at(self, moment: Moment) -> None:
        if self.dead or self.doomed(moment):
            self.dead = True
            raise Killed(moment)

    def give(self, part: object, database: Database) -> None:
        """`part`, of `product.turns()` or `product.sender()`, lives and dies with us."""
        vars(part).update({"_faults": self, "_database": _Reachable(database, self)})


class _Reachable:
    """The database as a mortal sees it: after death there is none."""

    def __init__(self, database: Database, mortal: Mortal) -> None:
        self._database = database
        self._mortal = mortal

    def __getattr__(self, name: str) -> object:
        if self._mortal.dead:
            raise Killed("after death")
        found: object = getattr(self._database, name)
        return found
