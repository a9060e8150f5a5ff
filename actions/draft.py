"""The complaint while it is being taken: its fields, the open question, how often that one failed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from actions.required_fields import fields, required

SKIPPED = False
"""Value of a field that was asked and left out; None is a field not asked yet."""

CONFIRM = "confirm"
CHANGE = "change"
TWO = "two"  # one complaint or two
OTHER = "other.other"

QUESTIONS = frozenset({*fields(), CONFIRM, CHANGE, TWO})


@dataclass(frozen=True)
class Draft:
    """Immutable; every change gives a new draft."""

    values: dict[str, Any]
    question: str | None = None
    failures: int = 0
    options: tuple[str, ...] = ()
    also: str | None = None  # a second field that the open question asks for
    rest: tuple[dict[str, Any], ...] = ()  # other problems of the same message, each {"category", "values"}

    @property
    def category(self) -> str | None:
        """The leaf, None while open; `other.other` where the customer left it out."""
        value = self.values.get("category")
        return OTHER if value is SKIPPED else value

    def with_values(self, **values: Any) -> Draft:
        return replace(self, values={**self.values, **values})

    def asking(self, question: str, failures: int = 0, options: tuple[str, ...] = (), also: str | None = None) -> Draft:
        return replace(self, question=question, failures=failures, options=options, also=also)

    def asked(self) -> tuple[str, ...]:
        """The fields that the open question asks for."""
        return tuple(name for name in (self.question, self.also) if name in fields())

    def missing(self) -> list[str]:
        """Required fields not dealt with, in the order of asking."""
        return [name for name in required(self.category) if self.values.get(name) is None]

    def next_question(self) -> str:
        """The first required field not dealt with, else the read-back."""
        return next(iter(self.missing()), CONFIRM)

    def is_skippable(self) -> bool:
        return self.question in fields() and fields()[self.question].skippable

    def told(self, name: str) -> Any | None:
        """A field's value, None where it was left out."""
        value = self.values.get(name)
        return None if value is SKIPPED else value

    def filed_fields(self) -> dict[str, Any]:
        """The fields of the command `file_complaint`."""
        return {name: self.told(name) for name in fields() if name != "category"}

    def read_back(self) -> dict[str, str]:
        """Arguments of the read-back: everything as text, empty where there is nothing."""
        shown = {name: _text(self.told(name)) for name in fields()}
        shown["category"] = self.category or OTHER
        shown["what"] = _shortened(shown["what"])
        return shown


def _text(value: Any) -> str:
    return str(value["text"]) if isinstance(value, dict) else str(value or "")


def _shortened(text: str, most: int = 300) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
