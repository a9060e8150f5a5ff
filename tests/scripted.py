"""Plays the scripted talks of tests/talks/: customers' lines through the product's own code, with real Rasa.

A talk is a list of steps, each with one key. What the customer does: `say`, `tap` (a payload of a shown button), `photo`,
`voice`, `edit`, `together` (lines and photos within a moment), `restart` (of the product). What others do: `agent`, `desk`.
What must be true then: `hear` (text keys since the last thing done), `text`, `receipt`, `queued`, `bot`, `complaint`,
`desk_has`, `fact`. docs/add-a-topic.md shows one.
"""

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bot.build import Product
from bot.channel import Account, Capabilities, Media
from bot.complaint import desk_source
from bot.desk import TicketState
from bot.message import Attachment, Incoming, Kind, Outgoing, Receipt
from bot.sender import labelled
from bot.store import complaints, conversations, cursors, desk_actions, facts, tickets
from bot.store.complaints import Complaint
from bot.store.outbox import OutboxRow
from bot.store.users import User
from tests.files import picture
from tests.talking import Hands, chat

TALKS = Path(__file__).parent / "talks"
PHOTO = picture()
_numbers = itertools.count(1)

Step = Mapping[str, Any]


@dataclass(frozen=True)
class Talk:
    """One file of tests/talks/."""

    name: str
    title: str
    language: str
    steps: Sequence[Step]


def load() -> list[Talk]:
    return [_read(path) for path in sorted(TALKS.glob("*/*.yml"))]


def _read(path: Path) -> Talk:
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    return Talk(f"{path.parent.name}/{path.stem}", written["title"], path.parent.name, written["talk"])


class Camera:
    """A pulled channel whose customers can send pictures."""

    kind = "webchat"
    capabilities = Capabilities(0, "characters", True, True, False, False, True, True)

    def send(self, outgoing: Outgoing) -> Receipt:
        raise AssertionError("a pulled channel is never asked to send")

    def download(self, attachment: Attachment) -> Media:
        return Media(PHOTO, "image/jpeg")

    def close(self) -> None:
        """Nothing to close."""


@dataclass
class Stage:
    """One customer, the product, and what has happened so far. `turns` counts what the customer did since the last receipt."""

    make: Callable[[], Product]
    language: str
    who: str = "ann"
    turns: int = 0
    receipts: list[int] = field(default_factory=list)  # customer turns that each took
    lines: list[str] = field(default_factory=list)  # the talk as the customer sees it
    seen: int = 0
    user: User | None = None

    def __post_init__(self) -> None:
        self._open(self.make())

    def _open(self, product: Product) -> None:
        self.product = product
        self.account: Account = chat(product)
        product.channels._made[self.account.id] = Camera()
        self.hands = Hands(product)

    def play(self, steps: Sequence[Step]) -> None:
        """Raises AssertionError with the whole talk where something else happens than the script says."""
        for number, step in enumerate(steps, start=1):
            ((name, what),) = step.items()
            try:
                getattr(self, f"_{name}")(what)
            except AssertionError as error:
                talk = "\n".join(self.lines)
                raise AssertionError(f"step {number}, {name}: {what!r}: {error}\n{talk}") from None

    # What the customer does.

    def _say(self, words: str) -> None:
        self._do([Incoming(self._key(), Kind.TEXT, self.who, text=words, language=self.language)])

    def _tap(self, payload: str) -> None:
        self._do([Incoming(self._key(), Kind.TAP, self.who, payload=self._wire(payload))])

    def _photo(self, caption: str) -> None:
        self._do([self._picture(caption)])

    def _voice(self, _: object) -> None:
        self._do([Incoming(self._key(), Kind.OTHER, self.who, detail="voice", wants_answer=True)])

    def _edit(self, change: Sequence[str]) -> None:
        """[what was said, what it is now]: both before the bot looks."""
        key = self._key()
        first = Incoming(key, Kind.TEXT, self.who, text=change[0], language=self.language)
        self._do([first, Incoming(self._key(), Kind.EDIT, self.who, text=change[1], replaces=key)])

    def _edit_late(self, change: Sequence[str]) -> None:
        key = self._key()
        self._do([Incoming(key, Kind.TEXT, self.who, text=change[0], language=self.language)])
        self._do([Incoming(self._key(), Kind.EDIT, self.who, text=change[1], replaces=key)])

    def _together(self, parts: Sequence[str]) -> None:
        """Lines, and "photo" for a picture, all within a moment: one turn."""
        self._do([self._picture("") if part == "photo" else self._text(part) for part in parts])

    def _restart(self, _: object) -> None:
        self.product.close()
        self._open(self.make())

    # What others do.

    def _agent(self, what: str) -> None:
        if self.user is None:
            self.user = self.product.people.add("lin", "agent", "a long enough password")
        current = self.conversation
        act, _, words = what.partition(" ")
        if act == "claims":
            self.product.ownership.claim(current.id, current.epoch, self.user)
        elif act == "says":
            self.product.ownership.reply(current.id, self.user, self._key(), words, current.next_sequence - 1)
        else:
            self.product.ownership.release(current.id, self.user, current.epoch, current.next_sequence - 1)
        self._show(f"[agent {what}]")

    def _desk(self, change: Mapping[str, str]) -> None:
        """The desk moves the newest complaint, or the one of this number, and the poller reads it."""
        self._work_at_desk()
        with self.product.database.read() as db:
            ticket = tickets.of_complaint(db, self.mine[int(change.get("of", 0))].id)
        assert ticket is not None and ticket.state == "open"
        self.product.desk.set_state(ticket.ticket_id, TicketState(change["state"]), change.get("note", ""), "user:1")
        self._poll_desk()
        self._show(f"[desk: {change['state']}]")

    # What must be true.

    def _hear(self, keys: Sequence[str] | str) -> None:
        said = [key for row in self.fresh for key in _keys(row)]
        missing = [key for key in ([keys] if isinstance(keys, str) else keys) if key not in said]
        assert not missing, f"heard {said}"

    def _unheard(self, key: str) -> None:
        assert key not in [one for row in self.fresh for one in _keys(row)]

    def _text(self, words: str) -> Incoming:
        return Incoming(self._key(), Kind.TEXT, self.who, text=words, language=self.language)

    def _told(self, pattern: str) -> None:
        said = "\n".join(row.text for row in self.fresh)
        assert re.search(pattern, said), f"told {said}"

    def _offered(self, payload: str) -> None:
        assert payload in [one["payload"] for row in self.fresh for one in row.buttons]

    def _receipt(self, expected: Mapping[str, Any]) -> None:
        filed, told = self.mine, [row for row in self.fresh if row.topic == "receipt"]
        assert told, "no receipt"
        newest = next(one for one in filed if one.reference == told[-1].args["reference"])
        self._compare(newest, {name: value for name, value in expected.items() if name != "turns"})
        self.receipts.append(self.turns)
        if "turns" in expected:
            assert self.turns <= expected["turns"], f"took {self.turns} turns"
        self.turns = 0

    def _no_receipt(self, _: object) -> None:
        assert not [row for row in self.fresh if row.topic == "receipt"]

    def _complaint(self, expected: Mapping[str, Any]) -> None:
        """The newest complaint, or the one of this number, is like this."""
        given = dict(expected)
        self._compare(self.mine[int(given.pop("of", 0))], given)

    def _complaints(self, count: int) -> None:
        assert len(self.mine) == count

    def _compare(self, filed: Complaint, expected: Mapping[str, Any]) -> None:
        for name, value in expected.items():
            found = filed.fields.get(name) if name in _FIELDS else getattr(filed, name)
            shown = str(found.get("text")) if isinstance(found, Mapping) else "" if found is None else str(found)
            assert re.search(str(value), shown), f"{name} is {shown!r}"

    def _desk_has(self, expected: Mapping[str, str]) -> None:
        self._work_at_desk()
        self._poll_desk()
        filed = self.mine[int(expected.get("of", 0))]
        if "state" in expected:
            assert filed.state == expected["state"], f"it is {filed.state}"
        if "comment" in expected:
            with self.product.database.read() as db:
                done = desk_actions.of_complaint(db, filed.id)
            assert any(expected["comment"] == one.text_key and one.state == "done" for one in done), done

    def _queued(self, reason: str) -> None:
        assert self.conversation.state == "queued", f"it is {self.conversation.state}"
        assert self.conversation.queue_reason == reason, f"because of {self.conversation.queue_reason}"

    def _first_in_queue(self, _: object) -> None:
        with self.product.database.read() as db:
            assert conversations.queue(db)[0].id == self.conversation.id

    def _bot(self, question: str | None) -> None:
        """The bot answers, and this is the open question (null: none)."""
        current = self.conversation
        assert current.state == "bot", f"it is {current.state}"
        asked = current.question["question"] if current.question else None
        assert asked == question, f"asked is {asked}"

    def _fact(self, kind: str) -> None:
        with self.product.database.read() as db:
            kinds = {one.kind for one in facts.of_conversation(db, self.conversation.id)}
        assert kind in kinds, sorted(kinds)

    # How it is done.

    @property
    def conversation(self) -> conversations.Conversation:
        return self.hands.conversation(self.who)

    @property
    def mine(self) -> list[Complaint]:
        with self.product.database.read() as db:
            return complaints.of_identity(db, self.conversation.identity_id)

    @property
    def fresh(self) -> list[OutboxRow]:
        """What reached the customer since the last thing that was done."""
        return self._sent()[self.seen :]

    def _sent(self) -> list[OutboxRow]:
        rows = [row for row in self.hands.rows(self.who) if row.state == "sent"]
        return sorted(rows, key=lambda row: row.stream or 0)

    def _do(self, events: Sequence[Incoming]) -> None:
        self.seen = len(self._sent()) if self.turns or self.lines else 0
        self.turns += 1
        for event in events:
            self.product.inbox.accept(self.account, event)
            self.lines.append(f"> {event.text or event.payload or event.detail or '[photo]'}")
        self._show()

    def _show(self, what: str = "") -> None:
        if what:
            self.lines.append(what)
        shown = len(self._sent()) if not what else None
        self.hands.work()
        rows = self._sent()[self.seen :] if shown is None else self._sent()[shown:]
        self.lines += [_as_seen(self.product, row, self.conversation.language) for row in rows]

    def _work_at_desk(self) -> None:
        ticketing, desk_work = self.product.ticketing(), self.product.desk_work()
        while ticketing.open_once() or desk_work.do_once():
            pass

    def _poll_desk(self) -> None:
        self.seen = len(self._sent())
        source = desk_source(self.product.desk.kind)
        with self.product.database.write() as db:
            leased = cursors.lease(db, source, 30)
        assert leased is not None
        changes, cursor = self.product.desk.changes(leased[1])
        self.product.complaints.take_changes(source, leased[0], changes, cursor or "0")
        with self.product.database.write() as db:
            cursors.release(db, source, leased[0])
        self.hands.work()

    def _picture(self, caption: str) -> Incoming:
        photo = Attachment("photo", f"photo-{next(_numbers)}")
        return Incoming(self._key(), Kind.MEDIA, self.who, text=caption or "", attachments=(photo,))

    def _key(self) -> str:
        return f"{self.who}-{next(_numbers)}"

    def _wire(self, payload: str) -> str:
        """The newest button that means this; `urge` also finds `urge:TS-…`."""
        if payload in ("human", "stop_waiting"):
            return payload
        for row in reversed(self._sent()):
            for index, spec in enumerate(row.buttons):
                if spec["payload"] == payload or spec["payload"].partition(":")[0] == payload:
                    return f"{row.id}.{index}"
        raise AssertionError(f"no button {payload}")


_FIELDS = frozenset({"what", "number", "when", "place", "amount", "remedy", "added", "request"})


def _keys(row: OutboxRow) -> list[str]:
    return [str(one["key"]) for one in row.args.get("before") or ()] + [row.text_key or "agent"]


def _as_seen(product: Product, row: OutboxRow, language: str) -> str:
    labels = " ".join(f"[{one.label}]" for one in labelled(product.texts, row, language))
    return "\n".join("    " + line for line in (row.text + ("\n" + labels if labels else "")).splitlines())
