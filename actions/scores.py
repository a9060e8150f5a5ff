"""Reads a satisfaction score of 1 to 5 from a tap, a number, stars, or words."""

from __future__ import annotations

import re
import unicodedata

from actions.turn import Turn

_DIGITS = {mark: place for place, mark in enumerate("零一二三四五六七八九十")} | {"两": 2, "满": 10}
_ENGLISH = {"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "ten": 10}
_NUMBER = re.compile(
    r"(?<![\d.])(\d{1,3}|[零一二三四五六七八九十两])\s*(?:分|星|颗|stars?\b|points?\b|/|out of|$|[，,。.！! ])"
    r"|(?:评|打|给|rating:?|rate it|score:?)\s*(?:个)?\s*(\d{1,3}|[零一二三四五六七八九十两])"
    r"|\b(zero|one|two|three|four|five|ten)\b(?= (?:stars?|points?|out of)|$)"
)
_OF_TEN = re.compile(r"(?:out of|/)\s*(?:10|ten)\b|满分(?:十|10)分?")
# The first that fits; what is negated stands before what is not.
_WORDS = (
    (re.compile(r"非常不满|极不满|很不满|差评|零分|太差|极差|very (?:bad|unsatisf|dissatisf)|terrible|awful|worst"), 1),
    (re.compile(r"不(?:太)?满意|不好|较差|unsatisf|dissatisf|not (?:very )?(?:good|happy|satisf)|bad\b|poor\b"), 2),
    (re.compile(r"一般|还行|凑合|及格|马马虎虎|so-so|okay|average|fair\b"), 3),
    (re.compile(r"非常满意|很满意|特别满意|满分|好评|完美|very (?:good|happy|satisf)|excellent|perfect|great"), 5),
    (re.compile(r"满意|不错|挺好|good\b|happy|satisf"), 4),
)


def read(turn: Turn) -> int | None:
    """1 to 5; scores out of ten or a hundred are brought to five. None where there is no score."""
    kind, _, tapped = (turn.payload or "").partition(":")
    if kind == "score":
        return int(tapped) if tapped in ("1", "2", "3", "4", "5") else None
    text = unicodedata.normalize("NFKC", _without_proofs(turn)).strip().lower()
    found = _NUMBER.search(text)
    if found:
        return _of_five(next(group for group in found.groups() if group), bool(_OF_TEN.search(text)))
    return next((score for pattern, score in _WORDS if pattern.search(text)), None)


def _without_proofs(turn: Turn) -> str:
    """The text without references and receipt codes: the digit at a reference's end is no score."""
    text = turn.text
    for one in turn.entities:
        if one["entity"] in ("reference", "receipt_code"):
            text = text[: one["start"]] + " " * (one["end"] - one["start"]) + text[one["end"] :]
    return text


def _of_five(written: str, of_ten: bool) -> int | None:
    value = int(written) if written.isascii() and written.isdigit() else _ENGLISH.get(written, _DIGITS.get(written, 0))
    if value > 100:
        return None
    if value > 10:
        return max(1, round(value / 20))
    return max(1, round(value / 2)) if value > 5 or of_ten else max(1, value)
