"""Business hours: when people answer, and by when a call-back is promised."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_RULE = re.compile(r"^(\w{3})(?:-(\w{3}))?\s+(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})$")
_MIDNIGHT = 24 * 60


@dataclass(frozen=True)
class Calendar:
    """Opening minutes per weekday (0 = Monday) in the operator's time zone."""

    zone: ZoneInfo
    spans: tuple[tuple[tuple[int, int], ...], ...]  # per weekday: (from, to) in minutes after midnight

    @classmethod
    def parse(cls, text: str, zone: ZoneInfo) -> "Calendar":
        """`text` is like "Mon-Fri 08:00-20:00, Sat 09:00-12:00". Raises ValueError that says what is wrong."""
        spans: list[list[tuple[int, int]]] = [[] for _ in _DAYS]
        for rule in filter(None, (part.strip() for part in text.split(","))):
            days, span = _parse_rule(rule)
            for day in days:
                spans[day].append(span)
        if not any(spans):
            raise ValueError("no opening hours at all; expected for example Mon-Fri 08:00-20:00")
        return cls(zone, tuple(tuple(sorted(day)) for day in spans))

    def is_open(self, now: datetime) -> bool:
        local = now.astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        return any(start <= minute < end for start, end in self.spans[local.weekday()])

    def opens_at(self, now: datetime) -> datetime:
        """The next instant (UTC) at which people answer; `now` itself when open."""
        if self.is_open(now):
            return now.astimezone(UTC)
        local = now.astimezone(self.zone)
        for ahead in range(8):
            day = (local + timedelta(days=ahead)).date()
            for start, _end in self.spans[day.weekday()]:
                opening = datetime.combine(day, time(start // 60, start % 60), self.zone)
                if opening > local:
                    return opening.astimezone(UTC)
        raise AssertionError("parse() refuses calendars that never open")

    def callback_due(self, now: datetime, within: timedelta) -> datetime:
        """By when a person calls back: `within` after the next opening."""
        return self.opens_at(now) + within


def _parse_rule(rule: str) -> tuple[range, tuple[int, int]]:
    match = _RULE.match(rule)
    if not match:
        raise ValueError(f"{rule!r} is not like Mon-Fri 08:00-20:00")
    first, last, h1, m1, h2, m2 = match.groups()
    try:
        day_from = _DAYS.index(first.lower())
        day_to = _DAYS.index((last or first).lower())
    except ValueError:
        raise ValueError(f"{rule!r}: weekdays are Mon Tue Wed Thu Fri Sat Sun") from None
    start, end = int(h1) * 60 + int(m1), int(h2) * 60 + int(m2)
    if not (day_from <= day_to and 0 <= start < end <= _MIDNIGHT and int(m1) < 60 and int(m2) < 60):
        raise ValueError(f"{rule!r}: a range must go forward and stay within a day")
    return range(day_from, day_to + 1), (start, end)
