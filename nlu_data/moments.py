"""Understands when something happened: 昨晚八点, 上个月15号, 已经三天了, since Monday; past is preferred.

A small grammar of our own: the libraries miss durations and colloquial forms (figures in nlu_data/README.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import islice

from nlu_data.numerals import value_of

_MOST = 20  # of each way of writing; a text with more is no complaint
Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Moment:
    """A stretch of time as written; `since` and `until` are aware."""

    start: int
    end: int
    since: datetime
    until: datetime


_N = r"(?:\d{1,3}|[一二两三四五六七八九十半几]{1,3})"
_PARTS = {
    "凌晨": (0, 6), "半夜": (0, 6), "清晨": (5, 9), "早上": (6, 10), "早晨": (6, 10), "上午": (6, 12), "中午": (11, 14),
    "下午": (12, 18), "傍晚": (17, 20), "晚上": (18, 24), "夜里": (20, 24), "早": (6, 10), "晨": (5, 9), "晚": (18, 24),
    "夜": (18, 24), "morning": (6, 12), "afternoon": (12, 18), "evening": (18, 24), "night": (18, 24), "noon": (11, 14),
}  # fmt: skip
_PART = r"(?P<part>凌晨|半夜|清晨|早上|早晨|上午|中午|下午|傍晚|晚上|夜里)"
_CLOCK = (
    rf"(?P<hour>{_N})\s?(?:点|[:：时])(?P<minute>半|一刻|三刻|\d{{1,2}}|[一二三四五六七八九十]+(?=分))?(?:分|钟|多)*"
)
_REST = rf"的?{_PART}?\s?(?:{_CLOCK})?(?:左右)?"
_WEEKDAYS = {
    mark: day for day, marks in enumerate(("一1", "二2", "三3", "四4", "五5", "六6", "日天7")) for mark in marks
}
_DAYS = {"今": 0, "昨": 1, "前": 2, "大前": 3, "today": 0, "yesterday": 1, "day before yesterday": 2}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ENGLISH_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ENGLISH_NUMBERS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "couple of": 2, "a couple of": 2, "few": 3, "a few": 3, "several": 4,
}  # fmt: skip
_EN = r"(?P<n>\d{1,3}|a couple of|couple of|a few|few|several|an?|one|two|three|four|five|six|seven|eight|nine|ten)"
_UNIT_DAYS = {"天": 1, "日": 1, "周": 7, "星期": 7, "礼拜": 7, "月": 30, "年": 365,
              "day": 1, "week": 7, "month": 30, "year": 365}  # fmt: skip
_NOT_TIME = re.compile(r"(?:还?没|都没|一直|还是|了)$")
_MONTH_NAME = r"(?P<name>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"


def moments(flat: str, now: datetime) -> list[Moment]:
    """All stretches of time named in a flattened text, in order, without overlaps; relative to `now` (aware)."""
    found: list[Moment] = []
    for pattern, reader in _RULES:
        for match in islice(pattern.finditer(flat), _MOST):
            span = _safely(reader, match, now)
            if span and not any(match.start() < other.end and other.start < match.end() for other in found):
                found.append(_moment(flat, match, span, now))
    return sorted(found, key=lambda moment: moment.start)


def _safely(
    reader: Callable[[re.Match[str], datetime], Span | None], match: re.Match[str], now: datetime
) -> Span | None:
    try:
        return reader(match, now)
    except (ValueError, OverflowError):  # 31 February, 25 o'clock
        return None


def _moment(flat: str, match: re.Match[str], span: Span, now: datetime) -> Moment:
    """`到现在` or `since` in front or behind stretches the span up to now."""
    start, end = match.span()
    trailing = _NOT_TIME.search(match.group())
    end -= len(trailing.group()) if trailing else 0
    onward = re.compile(
        r"\s?(?:就|一直|开始|起|断)*\s?(?:到|至)(?:现在|今)|\s?(?:开始|以来|起)|\s?(?:until|till) now"
    ).match(flat, end)
    before = re.search(r"(?:since|自从|从)\s?$", flat[:start])
    if onward or before:
        return Moment(start, onward.end() if onward else end, span[0], now)
    return Moment(start, end, span[0], min(span[1], max(now, span[0])))


def _on(day: date, now: datetime, match: re.Match[str]) -> Span:
    """The named part of a day: a clock time is given an hour, a part of the day its hours, else the whole day."""
    groups = match.groupdict()
    part = groups.get("part")
    hours = _PARTS.get(part or "", (0, 24))
    midnight = datetime.combine(day, time(), now.tzinfo)
    if groups.get("hour"):
        hour = int(value_of(groups["hour"]) or 0)
        if hour < 12 and (hours[0] >= 12 or (part == "中午" and hour < 6)):
            hour += 12
        start = midnight + timedelta(hours=hour, minutes=_minutes(groups.get("minute")))
        return start, start + timedelta(hours=1)
    return midnight + timedelta(hours=hours[0]), midnight + timedelta(hours=hours[1])


def _minutes(text: str | None) -> int:
    named = {"半": 30, "一刻": 15, "三刻": 45}
    return named.get(text or "", 0) or int(value_of(text or "") or 0)


def _day_word(match: re.Match[str], now: datetime) -> Span:
    day = now.date() - timedelta(days=_DAYS[match["day"]])
    return _on(day, now, match)


def _short_part(match: re.Match[str], now: datetime) -> Span:
    start, end = _PARTS[match["short"]]
    day = datetime.combine(now.date() - timedelta(days=_DAYS[match["day"]]), time(), now.tzinfo)
    if match["hour"]:
        hour = int(value_of(match["hour"]) or 0)
        begin = day + timedelta(
            hours=hour + (12 if hour < 12 and start >= 12 else 0), minutes=_minutes(match["minute"])
        )
        return begin, begin + timedelta(hours=1)
    return day + timedelta(hours=start), day + timedelta(hours=end)


def _weekday(match: re.Match[str], now: datetime) -> Span:
    wanted = _WEEKDAYS[match["weekday"]]
    monday = now.date() - timedelta(days=now.weekday())
    back = len(match["back"] or "")
    day = monday + timedelta(days=wanted - 7 * back)
    return _on(day if day <= now.date() else day - timedelta(days=7), now, match)


def _calendar(match: re.Match[str], now: datetime) -> Span:
    groups = match.groupdict()
    month = int(value_of(groups["month"]) or 0) if groups.get("month") else now.month
    year = int(groups["year"]) if groups.get("year") else now.year
    if (groups.get("lastyear") or "") == "去年":
        year = now.year - 1
    day = date(year, month, int(value_of(groups["dom"]) or 0))
    if day > now.date() and not groups.get("year"):
        day = _month_before(day) if not groups.get("month") else day.replace(year=year - 1)
    return _on(day, now, match)


def _last_month_day(match: re.Match[str], now: datetime) -> Span:
    last = _month_before(now.date().replace(day=1))
    return _on(last.replace(day=int(value_of(match["dom"]) or 0)), now, match)


def _month_before(day: date) -> date:
    return day.replace(year=day.year - (day.month == 1), month=12 if day.month == 1 else day.month - 1)


def _month(match: re.Match[str], now: datetime) -> Span:
    number = int(value_of(match["month"]) or 0)
    year = now.year - (1 if match["lastyear"] == "去年" or number > now.month else 0)
    first = datetime(year, number, 1, tzinfo=now.tzinfo)
    after = _first_after(first)
    thirds = {"初": (0, 10), "中": (10, 20), "底": (20, 31), "末": (20, 31)}.get(match["third"] or "")
    if thirds:
        return first + timedelta(days=thirds[0]), min(after, first + timedelta(days=thirds[1]))
    return first, after


def _first_after(first: datetime) -> datetime:
    return (first + timedelta(days=32)).replace(day=1)


def _named_stretch(match: re.Match[str], now: datetime) -> Span:
    midnight = datetime.combine(now.date(), time(), now.tzinfo)
    monday = midnight - timedelta(days=now.weekday())
    first = midnight.replace(day=1)
    last_first = (first - timedelta(days=1)).replace(day=1)
    word = re.sub(r"\s|个|the |over ", "", match.group())
    spans = {
        "上周": (monday - timedelta(days=7), monday), "上星期": (monday - timedelta(days=7), monday),
        "上礼拜": (monday - timedelta(days=7), monday), "lastweek": (monday - timedelta(days=7), monday),
        "这周": (monday, now), "本周": (monday, now), "这星期": (monday, now), "这礼拜": (monday, now), "thisweek": (monday, now),
        "上月": (last_first, first), "lastmonth": (last_first, first),
        "这月": (first, now), "本月": (first, now), "thismonth": (first, now),
        "周末": (monday - timedelta(days=2), monday), "上周末": (monday - timedelta(days=2), monday),
        "weekend": (monday - timedelta(days=2), monday), "lastweekend": (monday - timedelta(days=2), monday),
        "刚才": (now - timedelta(hours=1), now), "刚刚": (now - timedelta(hours=1), now),
        "justnow": (now - timedelta(hours=1), now),
        "今年": (midnight.replace(month=1, day=1), now), "thisyear": (midnight.replace(month=1, day=1), now),
    }  # fmt: skip
    if word in ("周末", "weekend") and now.weekday() >= 5:
        return monday + timedelta(days=5), now
    return spans.get(word, (now - timedelta(days=14), now))


def _these_days(match: re.Match[str], now: datetime) -> Span:
    count = value_of(match["n"]) or 3
    return now - timedelta(days=max(1, count)), now


def _duration(match: re.Match[str], now: datetime) -> Span:
    """三天前 is a day; 已经三天了 and 近三个月 are stretches up to now."""
    groups = match.groupdict()
    ago = bool(groups.get("ago"))
    count = 0.5 if groups.get("half") else value_of(groups["n"]) or 3
    unit = groups["unit"]
    if unit in ("小时", "钟头"):
        length = timedelta(hours=count)
    elif unit in ("分钟",):
        length = timedelta(minutes=count)
    else:
        length = timedelta(days=_UNIT_DAYS[unit] * count)
    return _back(now, length, ago)


def _english_duration(match: re.Match[str], now: datetime) -> Span:
    text = match["n"]
    count = float(text) if text.isdigit() else _ENGLISH_NUMBERS[text]
    unit = match["unit"]
    length = timedelta(minutes=count) if unit == "minute" else timedelta(hours=count)
    if unit in _UNIT_DAYS:
        length = timedelta(days=_UNIT_DAYS[unit] * count)
    return _back(now, length, bool(match.groupdict().get("ago")))


def _back(now: datetime, length: timedelta, ago: bool) -> Span:
    since = now - length
    if not ago:
        return since, now
    if length < timedelta(days=1):
        return since, since + timedelta(hours=1)
    midnight = datetime.combine(since.date(), time(), now.tzinfo)
    return midnight, midnight + timedelta(days=1)


def _english_weekday(match: re.Match[str], now: datetime) -> Span:
    wanted = _ENGLISH_DAYS.index(match["weekday"])
    back = (now.weekday() - wanted) % 7 or (7 if match["last"] else 0)
    return _on(now.date() - timedelta(days=back), now, match)


def _english_date(match: re.Match[str], now: datetime) -> Span:
    year = int(match["year"]) if match["year"] else now.year
    day = date(year, _MONTHS.index(match["name"]) + 1, int(match["dom"]))
    return _on(day if day <= now.date() or match["year"] else day.replace(year=year - 1), now, match)


def _last_night(match: re.Match[str], now: datetime) -> Span:
    midnight = datetime.combine(now.date(), time(), now.tzinfo)
    return midnight - timedelta(hours=6), midnight


def _this_part(match: re.Match[str], now: datetime) -> Span:
    midnight = datetime.combine(now.date(), time(), now.tzinfo)
    start, end = _PARTS["night" if match["this"] == "tonight" else match["this"].split()[-1]]
    return midnight + timedelta(hours=start), midnight + timedelta(hours=end)


_EN_PART = r"(?:\s(?P<part>morning|afternoon|evening|night|noon))?(?:\s(?:at|around)\s(?P<hour>\d{1,2})(?::(?P<minute>\d{2}))?)?"
_RULES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], datetime], Span | None]], ...] = tuple(
    (re.compile(pattern), reader)
    for pattern, reader in (
        (rf"(?P<year>20\d\d)\s?[年/.-]\s?(?P<month>\d{{1,2}})\s?[月/.-]\s?(?P<dom>\d{{1,2}})[号日]?{_REST}", _calendar),
        (
            rf"(?P<lastyear>去年|今年)?(?P<month>\d{{1,2}}|[一二三四五六七八九十]{{1,2}})月(?P<dom>{_N})[号日]?{_REST}",
            _calendar,
        ),
        (rf"上(?:个)?月(?P<dom>{_N})[号日]{_REST}", _last_month_day),
        (
            rf"(?:这个月|本月)?(?<![\d一二三四五六七八九十])(?P<dom>{_N})[号日](?![线楼门院厅店路码栋铺房])(?:那天)?{_REST}",
            _calendar,
        ),
        (
            r"(?P<lastyear>去年|今年)?(?P<month>\d{1,2}|[一二三四五六七八九十]{1,2})月(?:份)?(?P<third>[初中底末])?(?!\d|个)旬?",
            _month,
        ),
        (rf"(?P<day>大前|前|昨|今)(?:天|日|儿个?){_REST}", _day_word),
        (rf"(?P<day>昨|今|前)(?P<short>晚|早|晨|夜)(?:上|里)?(?:{_CLOCK})?(?:左右)?", _short_part),
        (rf"(?P<back>上{{0,2}})个?(?:周|星期|礼拜)(?P<weekday>[一二三四五六日天1-7])(?!个|天){_REST}", _weekday),
        (
            r"上个?(?:周末|周|星期|礼拜|月)|这个?(?:周|星期|礼拜|月)|本[周月]|周末|刚才|刚刚|最近|近期|近来|这段时间|前段时间|今年",
            _named_stretch,
        ),
        (r"[这前近](?P<n>[一两二三四五几\d]{1,2})天", _these_days),
        (
            rf"(?:已经|都|快|连续|整整|近|最近|过去|前后|有)(?:快|有|了|都)?(?:(?P<n>{_N})多?个?|(?P<half>半)个?)多?"
            r"(?P<unit>小时|钟头|分钟|天|日|周|星期|礼拜|月|年)(?:多)?(?P<ago>以前|之前|前)?",
            _duration,
        ),
        (
            rf"(?:(?P<n>{_N})多?个?|(?P<half>半)个?)多?(?P<unit>小时|钟头|分钟|天|日|周|星期|礼拜|月|年)多?"
            r"(?:(?P<ago>以前|之前|前)|了|来(?![了])|还?没|都没|一直|还是)",
            _duration,
        ),
        (r"(?P<day>day before yesterday)", _day_word),
        (rf"\b(?P<day>yesterday|today)\b{_EN_PART}", _day_word),
        (r"\blast night\b", _last_night),
        (r"\b(?P<this>this (?:morning|afternoon|evening)|tonight)\b", _this_part),
        (rf"\b{_EN} (?P<unit>minute|hour|day|week|month|year)s? (?P<ago>ago)\b", _english_duration),
        (
            rf"\b(?:for|past|last|over|in)(?: the)?(?: (?:past|last))?(?: (?:almost|nearly|about|over))? {_EN} "
            r"(?P<unit>minute|hour|day|week|month|year)s?\b",
            _english_duration,
        ),
        (rf"\b{_EN} (?P<unit>day|week|month)s? (?:now|already|running|without)\b", _english_duration),
        (
            rf"\b(?P<last>last )?(?:on )?(?P<weekday>mon|tue|wed|thu|fri|sat|sun)"
            rf"(?:day|s|sday|nesday|rs|rsday|urday)?\b{_EN_PART}",
            _english_weekday,
        ),
        (rf"\b{_MONTH_NAME}\s(?P<dom>\d{{1,2}})(?:st|nd|rd|th)?(?:,?\s(?P<year>20\d\d))?\b", _english_date),
        (rf"\b(?P<dom>\d{{1,2}})(?:st|nd|rd|th)?\s(?:of\s)?{_MONTH_NAME}(?:,?\s(?P<year>20\d\d))?", _english_date),
        (
            r"\b(?:(?:last|this) (?:week(?:end)?|month)|this year|just now|recently|lately|the weekend|over the weekend)\b",
            _named_stretch,
        ),
    )
)
