"""Durations and moments as they are written."""

from datetime import datetime

import pytest

from recmtl.schema.times import duration, in_utc


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30 minutes", 1800), ("36h", 129600), ("1 day 12 hours", 129600), ("7 days", 604800),
     ("1.5 hours", 5400), ("90 sec", 90), ("1 s", 1), ("2 weeks, 1 Day", 1296000)],
)
def test_durations(text: str, seconds: int) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "7", "days", "1 month", "90 m", "-1 day", "0 s", "0.5 s", "11 years", "600 weeks",
     "1 day and 1 hour"],
)
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        duration(text)


@pytest.mark.parametrize(
    ("text", "zone"),
    [("2026-03-11T00:00:00Z", "Asia/Tokyo"), ("2026-03-11T09:00:00", "Asia/Tokyo"),
     ("2026-03-11", None), ("2026-03-11T01:00:00+01:00", None)],
)
def test_moments_in_utc(text: str, zone: str | None) -> None:
    assert in_utc(text, zone) == datetime(2026, 3, 11)


@pytest.mark.parametrize(
    ("text", "zone", "end"),
    [("9999-12-31T23:30:00", "America/New_York", datetime.max), ("9999-12-31", "UTC", datetime.max),
     ("0001-01-01", "Asia/Tokyo", datetime.min), ("9999-12-31T23:59:59-05:00", None, datetime.max)],
)
def test_open_ends_are_the_ends_of_the_calendar(text: str, zone: str | None, end: datetime) -> None:
    assert in_utc(text, zone, days=int(end == datetime.max)) == end
