"""Finds sums of money inside sentences: 扣了我三百多块, 两百零五块三, ¥39.9, 300 yuan, $20."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice

from nlu_data.numerals import NUMERAL, value_of

_CHINESE = re.compile(
    rf"(?P<number>{NUMERAL}|几[十百千万]?|[十百千万]几)\s*(?:多|来|几|余)?\s*(?:块|元|圆|人民币)"
    rf"(?:(?P<tenths>[一二三四五六七八九\d])(?:毛|角)?(?![\d天月年个条次块元点号]))?(?:钱|人民币)?"
)
_SIGN = re.compile(r"(?:[¥$€£]|rmb|cny|usd)\s?(?P<number>\d{1,9}(?:,\d{3}){0,3}(?:\.\d{1,4})?k?)")
_ENGLISH = re.compile(
    r"(?<!\d)(?P<number>\d{1,9}(?:,\d{3}){0,3}(?:\.\d{1,4})?)\s?(?:yuan|rmb|cny|kuai|bucks|dollars?|usd|pounds?|euros?)\b"
)
_MOST = 20  # of each way of writing; a text with more is no complaint
# The price in a plan's name is no disputed sum.
_PLAN = re.compile(r"\s?的?(?:的)?(?:每月)?(?:套餐|保号|档|plan|package)")


@dataclass(frozen=True)
class Amount:
    """A sum as written; `value` is None where it is too vague (几十块)."""

    start: int
    end: int
    value: float | None


def amounts(flat: str) -> list[Amount]:
    """All sums in a flattened text, in order, without overlaps."""
    found: list[Amount] = []
    for pattern in (_SIGN, _CHINESE, _ENGLISH):
        for match in islice(pattern.finditer(flat), _MOST):
            if not _PLAN.match(flat, match.end()) and not any(_overlap(match, other) for other in found):
                found.append(Amount(match.start(), match.end(), _value(match)))
    return sorted(found, key=lambda amount: amount.start)


def _value(match: re.Match[str]) -> float | None:
    whole = value_of(match["number"])
    tenths = match.groupdict().get("tenths")
    if whole is None or not tenths:
        return whole
    return round(whole + (value_of(tenths) or 0) / 10, 2)


def _overlap(match: re.Match[str], other: Amount) -> bool:
    return match.start() < other.end and other.start < match.end()
