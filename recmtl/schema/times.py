"""Durations and moments as a person writes them: "30 minutes" in seconds, a time with its zone in UTC."""

import re
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_UNITS = {
    "second": 1, "sec": 1, "s": 1, "minute": 60, "min": 60, "hour": 3600, "h": 3600,
    "day": 86400, "d": 86400, "week": 604800, "w": 604800,
}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)[\s,]*")
_LONGEST = 3660 * 86400
_MIDDLE = 5000  # a year far from both ends of the calendar


def duration(text: object) -> int:
    """The seconds in `text`. Raises ValueError where it is no duration, or not above zero."""
    if not isinstance(text, str):
        raise ValueError(f'{text!r} is no duration such as "30 minutes": write it with its unit, quoted')
    parts = _PART.findall(text)
    units = [unit.lower() if len(unit) == 1 else unit.lower().removesuffix("s") for _, unit in parts]
    if not parts or _PART.sub("", text).strip() or not set(units) <= _UNITS.keys():
        raise ValueError(f'{text!r} is no duration such as "30 minutes", "36 hours" or "7 days"')
    total = sum(Fraction(number) * _UNITS[unit] for (number, _), unit in zip(parts, units, strict=True))
    if total.denominator != 1 or not 0 < total <= _LONGEST:
        raise ValueError(f"{text!r} is no whole number of seconds from 1 second to ten years")
    return int(total)


def written(value: object) -> object:
    """A day or time of the file in ISO form. Raises ValueError for what is neither."""
    text = value.isoformat() if isinstance(value, date | datetime) else value
    if text is None:
        return None
    try:
        datetime.fromisoformat(text if isinstance(text, str) else "")
    except ValueError:
        example = '"2026-03-11" or "2026-03-11T00:00:00Z"'
        raise ValueError(f"{text!r} is no day or time such as {example}") from None
    return text


def checked_zone(zone: str | None) -> str | None:
    """The zone. Raises ValueError for one that nobody knows."""
    try:
        ZoneInfo(zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f'no time zone {zone!r}; use a name such as "UTC" or "Asia/Shanghai"') from None
    return zone


def in_utc(text: str, zone: str | None, days: int = 0) -> datetime:
    """A written time, `days` later, in UTC without a zone; `zone` is that of one without an offset.

    What lies before the year 1 or after the year 9999 then, as open ends are written, is the first or
    the last moment that there is.
    """
    moment = datetime.fromisoformat(text)
    end = datetime.max if moment.year > _MIDDLE else datetime.min
    try:
        moment += timedelta(days=days)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone or "UTC"))
        return aware.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        return end


def day_in(text: str, zone: str | None) -> date:
    """The day of a written time in a zone."""
    return in_utc(text, zone).replace(tzinfo=UTC).astimezone(ZoneInfo(zone or "UTC")).date()
