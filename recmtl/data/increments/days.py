"""Days: what each depends on now, and did when it was written, go in; what to do, and why, comes out."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from recmtl.data.day_files import UNDATED
from recmtl.errors import RecmtlError

Origin = Mapping[str, Any]  # what a day was made from: part → a JSON value
Origins = Mapping[str, Origin]  # day → that


@dataclass(frozen=True)
class Window:
    """The days that may be written, both ends included; None is open."""

    start: date | None = None
    end: date | None = None

    @classmethod
    def read(cls, start: str | None, end: str | None) -> "Window":
        """From days as written, 2026-03-11. Raises RecmtlError for what is no day, and for no days."""
        try:
            window = cls(*(date.fromisoformat(day) if day else None for day in (start, end)))
        except ValueError as error:
            raise RecmtlError(
                f"is no day: {error}", where="--from, --to", expected="2026-03-11"
            ) from None
        if window.start and window.end and window.start > window.end:
            raise RecmtlError("ends before it begins", where="--from, --to", found=str(window))
        return window

    def __str__(self) -> str:
        return f"{self.start or '…'} to {self.end or '…'}"

    def holds(self, day: str) -> bool:
        """Raises RecmtlError for rows without a day, where some days are meant."""
        if self == EVERY_DAY:
            return True
        if day == UNDATED:
            raise RecmtlError(
                "the log has no days to choose from", where="--from, --to",
                fix="name impressions.day or impressions.time, or leave the days out",
            )
        return str(self.start or date.min) <= day <= str(self.end or date.max)

    def misses(self, days: Collection[str]) -> str:
        """In words that none of the days lies inside; empty where one does, or every day is meant."""
        if self == EVERY_DAY or any(map(self.holds, days)):
            return ""
        there = f"those from {min(days)} to {max(days)}" if days else "none"
        return f"the log has no day from {self}; it has {there}"


EVERY_DAY = Window()


@dataclass(frozen=True)
class Work:
    """The days to write and those to leave out, each with the reason; to link, as they are; and which of
    these, or of those not written yet, are not what they should be by now."""

    write: Mapping[str, str]
    link: tuple[str, ...]
    drop: Mapping[str, str]
    stale: Mapping[str, str]


def plan_work(now: Origins, before: Origins, window: Window, names: Mapping[str, str]) -> Work:
    """Compare what days are made from. `names` are the log's files by their numbers, for the reasons."""
    write, drop, stale, link = dict[str, str](), dict[str, str](), dict[str, str](), list[str]()
    for day in sorted({*now, *before}):
        why = _reason(now.get(day), before.get(day), names)
        inside = bool(why) and window.holds(day)
        if inside and day in now:
            write[day] = why
        elif inside:
            drop[day] = why
        else:
            if why:
                stale[day] = why
            if day in before:
                link.append(day)
    return Work(write, tuple(link), drop, stale)


def _reason(now: Origin | None, before: Origin | None, names: Mapping[str, str]) -> str:
    """Why a day is not what it was, empty where it is."""
    if now is None:
        return "no rows any more"
    if before is None:
        return "new"
    if now["settings"] != before["settings"]:
        return "settings or column types changed"
    parts = {part: _changed(now[part], before.get(part, {})) for part in now if part != "settings"}
    said = {part: ", ".join(names.get(key, key) for key in keys) for part, keys in parts.items() if keys}
    return "; ".join(f"{_WORDS[part]}: {keys}" for part, keys in said.items())


_WORDS = {
    "files": "files changed", "joins": "side tables changed", "credited": "other events",
    "known": "more is known",
    "repeated": "other repeats",
}


def _changed(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    return [key for key in sorted({*now, *before}) if now.get(key) != before.get(key)]


def refuse_mixture(work: Work, now: Origins, before: Origins) -> None:
    """Raise RecmtlError where days would stay that have other columns than those written now."""
    shapes = {origin["settings"] for origin in now.values()}
    other = [day for day in work.link if before[day]["settings"] not in shapes]
    if other:
        raise RecmtlError(
            "settings or column types are others than those that the days outside were made with",
            where="--from, --to", found=f"{len(other)} such days, {other[0]} to {other[-1]}",
            fix="ingest without --from and --to: all days are to be written anew",
        )
