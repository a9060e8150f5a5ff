"""Finds two problems told in one message: joined by "另外" or "also", or counted, and of different kinds."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Ranking = list[dict[str, Any]]

_COUNTED = re.compile(
    r"[两二2](?:个|件)(?:事|问题|情况|投诉)|两样|\b(?:two|2) (?:problems|things|issues|complaints|matters)\b"
)
_NEXT = re.compile(
    r"[，,。；;\s]*(?:另外|此外|还有(?:就是|一[个件])?|再就是|再有|其次|第二(?:个|件|是)?|二是|②|(?<!\d)2[、.．)）]"
    r"|\b(?:also|besides|secondly|second(?! (?:time|day|week|attempt|hand))|on top of that|another (?:thing|problem|issue)"
    r"|in addition|and then there is)\b)[，,、:：是\s]*",
    re.IGNORECASE,
)
_SURE = 0.07  # low, since the joining words say already that something else follows
# How the first problem was dealt with is part of it, unless the speaker counts it as a second one.
_AFTERMATH = frozenset({"service", "install_repair"})


def problems(text: str, ranked: Callable[[str], Ranking]) -> list[dict[str, Any]]:
    """[{"text", "category", "start", "end"}] of two problems, in order; empty where the message tells one."""
    found = next((match for match in _NEXT.finditer(text) if _long_enough(text[: match.start()])), None)
    if found is None:
        return []
    spans = [(0, found.start()), (found.end(), len(text))]
    parts = [text[start:end].strip() for start, end in spans]
    leaves = [_leaf(ranked(part)) for part in parts]
    if not all(_long_enough(part) for part in parts) or None in leaves:
        return []
    tops = [str(leaf).partition(".")[0] for leaf in leaves]
    if tops[0] == tops[1] or (tops[1] in _AFTERMATH and not _COUNTED.search(text)):
        return []
    return [
        {"text": part, "category": leaf, "start": start, "end": end}
        for part, leaf, (start, end) in zip(parts, leaves, spans, strict=False)
    ]


def _leaf(ranking: Ranking) -> str | None:
    best = next(iter(ranking), None)
    if best is None or best["category"] in ("none", "other.other") or best["confidence"] < _SURE:
        return None
    return str(best["category"])


def _long_enough(part: str) -> bool:
    return len(re.findall(r"[\u3400-\u9fff]", part)) >= 4 or len(re.findall(r"[A-Za-z]{2,}", part)) >= 3
