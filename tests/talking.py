"""A scripted complaint talk and the shortest way through the product, for tests without Rasa."""

import itertools
from collections.abc import Mapping
from typing import Any

from bot.build import Product
from bot.channel import Account
from bot.dialogue import Question, Said
from bot.message import Incoming, Kind
from bot.sender import Sender
from bot.store import conversations, outbox
from bot.store.conversations import Conversation
from bot.store.outbox import OutboxRow
from bot.worker import Turns

_numbers = itertools.count(1)


def complaint_talk(question: Question) -> Said:
    """Three turns: what happened, then the number, then yes. "status" and "x failed" work at any time."""
    slots = dict(question.state.get("slots") or {})
    words = question.text or ""
    if question.payload == "affirm":
        filed = {"name": "file_complaint", "args": {"category": "broadband.disconnection", "fields": slots}}
        return Said([], [filed], {})
    if "status" in words or question.payload == "status":
        return Said([], [{"name": "tell_status", "args": {"reference": _reference(words)}}], question.state)
    if "misunderstand me" in words:
        return Said([reply("handoff.wish")], [{"name": "call_agent", "args": {"reason": "misunderstood"}}], {})
    if not slots:
        return _ask({"what": words}, reply("system.photo_alone", "number", ("skip",)))
    return _ask(slots | {"number": words}, reply("system.photo_received", "confirm", ("affirm", "cancel")))


def _reference(words: str) -> str | None:
    found = [word for word in words.split() if word.upper().startswith("TS")]
    return found[0] if found else None


def reply(key: str, question: str | None = None, payloads: tuple[str, ...] = ()) -> Mapping[str, Any]:
    buttons = [{"payload": payload, "key": f"button.{payload}"} for payload in payloads]
    return {"key": key, "args": {}, "question": question, "buttons": buttons}


def _ask(slots: Mapping[str, Any], asked: Mapping[str, Any]) -> Said:
    state = {"slots": dict(slots), "active_form": "complaint_form", "question": asked["question"]}
    return Said([asked], [], state, intent="complain")


def text(sender: str, words: str, key: str = "", kind: Kind = Kind.TEXT, payload: str = "", **more: Any) -> Incoming:
    return Incoming(
        event_key=key or f"e{next(_numbers)}", kind=kind, sender=sender, text=words, payload=payload, **more
    )


def tap(sender: str, payload: str, key: str = "") -> Incoming:
    return text(sender, "", key, Kind.TAP, payload)


def chat(product: Product) -> Account:
    return product.accounts["webchat", "main"]


class Hands:
    """One worker, stepped by the test."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.turns: Turns = product.turns()
        self.sender: Sender = product.sender()

    def work(self) -> None:
        """Until nobody waits."""
        while self.turns.work_once() or self.sender.send_once():
            pass

    def say(self, sender: str, words: str, **more: Any) -> None:
        self.product.inbox.accept(chat(self.product), text(sender, words, **more))
        self.work()

    def tap(self, sender: str, payload: str) -> None:
        self.product.inbox.accept(chat(self.product), tap(sender, payload))
        self.work()

    def conversation(self, sender: str) -> Conversation:
        with self.product.database.read() as db:
            found = conversations.of_sender(db, chat(self.product).id, sender)
        assert found is not None
        return found

    def hurry(self, sender: str) -> None:
        """Lets what waits for a pause go now."""
        waiting = self.conversation(sender)
        with self.product.database.write() as db:
            conversations.change(db, waiting.id, work_at=conversations.now(db))
        self.work()

    def rows(self, sender: str) -> list[OutboxRow]:
        with self.product.database.read() as db:
            return outbox.history(db, self.conversation(sender).id)

    def heard(self, sender: str) -> list[str]:
        """What reached the customer, in order."""
        return [row.text for row in sorted(self.rows(sender), key=lambda r: r.stream or 0) if row.state == "sent"]

    def button(self, sender: str, payload: str) -> str:
        """Wire payload of the newest button that means this."""
        for row in reversed(self.rows(sender)):
            for index, spec in enumerate(row.buttons):
                if spec["payload"] == payload:
                    return f"{row.id}.{index}"
        raise AssertionError(f"no button {payload}")
