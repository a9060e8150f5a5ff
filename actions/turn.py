"""One customer turn as the actions see it, and the words in which they answer: replies, buttons, commands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rasa_sdk import Tracker
from rasa_sdk.executor import CollectingDispatcher

# ID cards (18) and bank cards (16 to 19 digits); neither belongs into a complaint.
_CARD = re.compile(r"(?<!\d)\d{15,18}[\dXx](?!\d)")
_CHINESE = re.compile(r"[\u3400-\u9fff]")


@dataclass(frozen=True)
class Turn:
    """What the customer said or tapped, with what the model reads in it."""

    text: str
    payload: str | None
    intent: str
    confidence: float
    entities: tuple[dict[str, Any], ...]
    categories: tuple[dict[str, Any], ...]
    attachments: int
    language: str
    wants_human: bool = False
    anger: float = 0.0
    threatens: bool = False
    plain: bool = False
    complaints: tuple[dict[str, Any], ...] = ()
    problems: tuple[dict[str, Any], ...] = ()

    def values(self, kind: str) -> list[Any]:
        """Values of all entities of one kind, in order."""
        return [entity["value"] for entity in self.entities if entity["entity"] == kind]

    def first(self, kind: str) -> Any | None:
        return next(iter(self.values(kind)), None)

    @property
    def is_angry(self) -> bool:
        """So angry that a person is offered; anger alone never changes what the bot does."""
        return self.anger >= 0.7

    @property
    def shows_card(self) -> bool:
        """Whether an ID-card number stood in the text; it was masked on arrival, before anything was stored."""
        return "*" * 18 in self.text

    @property
    def has_words(self) -> bool:
        return any(mark.isalnum() for mark in self.text)

    @property
    def is_short(self) -> bool:
        """Short enough to be a mere "yes", "skip" or "forget it" and not part of a story."""
        return len(_CHINESE.findall(self.text)) <= 14 and len(self.text.split()) <= 9

    def means(self, intent: str, at_least: float = 0.4) -> bool:
        """Whether the turn is this intent: tapped, or a short text that the model reads so."""
        tapped = (self.payload or "").partition(":")[0]
        return tapped == intent or (self.intent == intent and self.is_short and self.confidence >= at_least)


Button = dict[str, Any]


@dataclass
class Answer:
    """What one turn is answered with: replies as text keys, commands as data."""

    replies: list[dict[str, Any]] = field(default_factory=list)
    commands: list[dict[str, Any]] = field(default_factory=list)

    def say(self, key: str, question: str | None = None, buttons: Sequence[str | Button] = (), /, **args: Any) -> None:
        """Adds a reply; `buttons` are payloads, or whole buttons where the label is another one."""
        shown = [button(one) if isinstance(one, str) else one for one in buttons]
        self.replies.append({"key": key, "args": args, "question": question, "buttons": shown})

    def command(self, name: str, **args: Any) -> None:
        self.commands.append({"name": name, "args": args})

    def send(self, dispatcher: CollectingDispatcher) -> None:
        for reply in self.replies:
            dispatcher.utter_message(json_message={"reply": reply})
        for command in self.commands:
            dispatcher.utter_message(json_message={"command": command})


def button(payload: str, label: str = "", **args: Any) -> Button:
    """A button; its label is the text `label`, else `button.<kind>`; for `change:<field>` and `category:<leaf>` their names."""
    kind, _, subject = payload.partition(":")
    named = {"category": f"category.{subject}", "change": f"field.{subject}"}.get(kind, f"button.{kind}")
    made: Button = {"payload": payload, "key": label or named}
    return {**made, "args": args} if args else made


def masked(text: str) -> str:
    """The text with ID-card and bank-card numbers blanked."""
    return _CARD.sub("******", text)


def turn_of(tracker: Tracker) -> Turn:
    """The turn that the tracker ends with; the channel put the outside facts into the message's metadata."""
    message: dict[str, Any] = tracker.latest_message
    outside: dict[str, Any] = message.get("metadata") or {}
    intent: dict[str, Any] = message.get("intent") or {}
    signals: dict[str, Any] = message.get("signals") or {}
    context: dict[str, Any] = outside.get("context") or {}
    written = str(message.get("text") or "")
    lead = len(written) - len(written.lstrip())
    return Turn(
        text=written.strip(),
        payload=outside.get("payload"),
        intent=str(intent.get("name") or ""),
        confidence=float(intent.get("confidence") or 0),
        entities=tuple(_shifted(one, lead) for one in message.get("entities") or ()),
        categories=tuple(message.get("categories") or ()),
        attachments=int(outside.get("attachments") or 0),
        language=str(outside.get("language") or "zh"),
        wants_human=bool(signals.get("wants_human")),
        anger=float(signals.get("anger") or 0),
        threatens=bool(signals.get("threatens")),
        plain=bool(tracker.get_slot("plain")),
        complaints=tuple(context.get("complaints") or ()),
        problems=tuple(message.get("problems") or ()),
    )


def _shifted(entity: dict[str, Any], lead: int) -> dict[str, Any]:
    """The entity with its place in the stripped text."""
    return {**entity, "start": max(0, entity["start"] - lead), "end": entity["end"] - lead}
