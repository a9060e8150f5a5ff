"""Buttons as numbers, for people and channels without buttons: how they are numbered, and what a typed number means."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

SKIP = "skip"
_CHINESE = {mark: str(number) for number, mark in enumerate("零一二三四五六七八九")}
_ONLY_A_NUMBER = re.compile(
    r"(?:选|第|选择|选第|option|number|no\.?)?\s*(\d|[零一二三四五六七八九])\s*(?:个|项|号|条)?[。.,，!！、)）]*"
)


def numbered(buttons: Sequence[Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    """Each button with its digit: 0 always skips, the others count from 1; at most nine."""
    others = [one for one in buttons if one["payload"] != SKIP]
    skips = [("0", one) for one in buttons if one["payload"] == SKIP]
    return [(str(number), one) for number, one in enumerate(others[:9], start=1)] + skips


def chosen(text: str, buttons: Sequence[Mapping[str, Any]]) -> str | None:
    """The payload behind a text that is nothing but a number ("2", "２", "选二"); None for any other text."""
    found = _ONLY_A_NUMBER.fullmatch(unicodedata.normalize("NFKC", text).strip().lower())
    if found is None:
        return None
    digit = _CHINESE.get(found[1], found[1])
    return next((str(one["payload"]) for number, one in numbered(buttons) if number == digit), None)
