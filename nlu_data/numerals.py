"""Chinese and Arabic numerals as people write them: 三百二十, 一千八, 两万五, 1.5万, 半, 3."""

from __future__ import annotations

import re

NUMERAL = r"(?:(?<!\d)\d{1,9}(?:,\d{3}){0,3}(?:\.\d{1,4})?[千万亿k]?|[零〇一二两三四五六七八九十百千万半]{1,12})"
"""Matches one numeral, for use inside other patterns."""

_DIGITS = {
    mark: value
    for value, marks in enumerate(("零〇", "一", "二两", "三", "四", "五", "六", "七", "八", "九"))
    for mark in marks
}
_UNITS = {"十": 10, "百": 100, "千": 1000, "万": 10_000}
_SCALES = {"千": 1e3, "k": 1e3, "万": 1e4, "亿": 1e8}


def value_of(numeral: str) -> float | None:
    """The value, or None where the text is no numeral."""
    text = numeral.strip().replace(",", "")
    arabic = re.fullmatch(r"(\d+(?:\.\d+)?)([千万亿k]?)", text)
    if arabic:
        return float(arabic[1]) * _SCALES.get(arabic[2], 1)
    if text == "半":
        return 0.5
    if not text or any(mark not in _DIGITS and mark not in _UNITS for mark in text):
        return None
    return _chinese(text)


def _chinese(text: str) -> float:
    if all(mark in _DIGITS for mark in text):
        return float("".join(str(_DIGITS[mark]) for mark in text))
    total, digit, last = 0.0, None, 1
    for mark in text:
        if mark in _DIGITS:
            digit = _DIGITS[mark]
            last = 1 if digit == 0 else last
        elif mark == "万":
            total, digit, last = (total + (digit or 0)) * 10_000, None, 10_000
        else:
            last = _UNITS[mark]
            total, digit = total + (1 if digit is None else digit) * last, None
    # A trailing digit takes the unit below the last one: 一千八 is 1800, 三百零五 is 305.
    return total + (digit or 0) * (last // 10 if last > 10 else 1)
