"""Splits: by day, time, file or hash; out comes SQL that says 'train', 'valid', 'test' or null."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from fnmatch import fnmatchcase

from sqlglot import exp

from recmtl.data.query import column, expression, text
from recmtl.errors import RecmtlError
from recmtl.schema import FilesSplit, HashSplit, Split, TimeSplit
from recmtl.schema.times import in_utc

CUT = ("_file", "_row")  # whose hash cuts valid from other rows
_DIGITS = 12  # hexadecimal digits of a threshold: the hash is compared on 48 bits
HASHES: int = 16**_DIGITS


def part_of(split: Split, sources: Sequence[str] = (), zone: str | None = None) -> str:
    """SQL over the columns of examples that gives the part of a row, or null for none.

    `sources` are the log's files in the order of `_file`; `zone` is the one in which the times of a
    split without an offset are meant (UTC where None).
    """
    return text(part_tree(split, sources, zone))


def hashes(split: Split) -> bool:
    """Whether the part of a row is told by a hash, which takes longer than to read the row."""
    return isinstance(split, HashSplit) or (isinstance(split, FilesSplit) and split.files.valid is None)


def part_tree(split: Split, sources: Sequence[str], zone: str | None) -> exp.Expr:
    """The same as a syntax tree."""
    if isinstance(split, HashSplit):
        return expression(
            "split", "by_hash", hash=_hash(split.hash), test_below=_digits(split.test),
            valid_below=_digits(split.test + split.valid),
        )
    if isinstance(split, FilesSplit):
        return _by_files(split, sources)
    limits = {name: exp.convert(limit) for name, limit in limits_of(split, zone).items()}
    return expression("split", "by_day" if split.by_day else "by_time", **limits)


def limits_of(split: TimeSplit, zone: str | None) -> dict[str, date] | dict[str, datetime]:
    """`start`, `valid`, `test` and `stop`: days, or times in UTC; `stop` is the last one of test."""
    if split.by_day:
        return {
            "start": date.fromisoformat(split.start) if split.start else date(1, 1, 1),
            "valid": date.fromisoformat(split.valid),
            "test": date.fromisoformat(split.test),
            "stop": date.fromisoformat(split.end) if split.end else date.max,
        }
    zone = zone or "UTC"
    end = split.end and in_utc(split.end, zone)
    if end and split.end and len(split.end) == len("2022-05-04"):
        end = in_utc(split.end, zone, days=1) - timedelta(microseconds=1)  # that day is included
    return {
        "start": in_utc(split.start, zone) if split.start else datetime.min,
        "valid": in_utc(split.valid, zone), "test": in_utc(split.test, zone),
        "stop": end or datetime.max,
    }


def _by_files(split: FilesSplit, sources: Sequence[str]) -> exp.Expr:
    files = split.files
    outer = expression("split", "by_files", part_of_file=exp.convert(parts_of_files(split, sources)))
    if files.valid is not None:
        return outer
    return expression(
        "split", "with_valid_cut", outer_part=outer, cut_part=exp.convert(files.valid_from),
        hash=_hash(CUT), valid_below=_digits(files.valid_fraction),
    )


def parts_of_files(split: FilesSplit, sources: Sequence[str]) -> list[str | None]:
    """The part of each file. Raises RecmtlError where a pattern fits none, or two one file."""
    files = split.files
    patterns = {"train": files.train, "valid": files.valid, "test": files.test}
    numbers = {part: _matching(p, part, sources) for part, p in patterns.items() if p is not None}
    seen: dict[int, str] = {}
    for part, found in numbers.items():
        for number in found:
            if number in seen:
                raise RecmtlError(
                    f"the file falls in {seen[number]} and in {part}", where=sources[number],
                    fix="make the patterns of data.split.files exclude each other",
                )
            seen[number] = part
    return [seen.get(number) for number in range(len(sources))]


def _matching(pattern: str, part: str, sources: Sequence[str]) -> list[int]:
    """The numbers of the files whose path is the pattern or ends in a slash and the pattern."""
    wanted = pattern.removeprefix("./")
    found = [
        number for number, path in enumerate(sources)
        if fnmatchcase(path, wanted) or fnmatchcase(path, f"*/{wanted}")
    ]
    if not found:
        raise RecmtlError(
            f"no file of the log matches {pattern!r}", where=f"data.split.files.{part}",
            found=", ".join(sources),
        )
    return found


def _hash(columns: Sequence[str]) -> exp.Expr:
    """The MD5 of the columns' values in hexadecimal digits; a null differs from every value.

    Compared as text against the first of them, it needs no arithmetic on 128 bits, so that every
    engine with MD5 agrees.
    """
    values = [expression("split", "hashed", value=column(name)) for name in columns]
    joined = expression("split", "hash")
    for call in joined.find_all(exp.ConcatWs):
        call.set("expressions", [call.expressions[0], *values])
    return joined


def threshold(fraction: float) -> int:
    """The first 48 bits of a hash below which `fraction` of all hashes lie."""
    return round(fraction * HASHES)


def _digits(fraction: float) -> exp.Expr:
    """The same as SQL compares it."""
    below = threshold(fraction)
    return exp.convert(f"{below:0{_DIGITS}x}" if below < HASHES else "g")
