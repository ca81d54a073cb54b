"""Two folders in, what two engines made of the same: an AssertionError names the first difference."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
from polars.testing import assert_frame_equal

# Sums of floats depend on their order, and engines add what they read side by side.
REL_TOL = 1e-9
ALL_ROWS = 16_000  # fewer are all looked at by every check
VALUES = "values.parquet"
DIGESTS = ("key", "examples", "made_from")


def assert_same(found: Path, expected: Path) -> Counter[str]:
    """Every table row by row and in order, every manifest and report; returns how much was compared."""
    tables, others = tables_of(found), tables_of(expected)
    if sampled(found):
        tables.pop(VALUES, None), others.pop(VALUES, None)
    assert list(tables) == list(others), f"{list(tables)}, not {list(others)}"
    counted: Counter[str] = Counter(tables=len(tables))
    for name, files in tables.items():
        rows = read(files)
        counted["rows"] += len(rows)
        with _named(name):
            assert_frame_equal(rows, read(others[name]), rel_tol=REL_TOL, abs_tol=0)
    reports = [file.relative_to(found) for file in sorted(found.rglob("*.json"))]
    assert all((expected / report).exists() for report in reports), f"{reports}, not all of them"
    for report in reports:
        assert_values(_said(found / report), _said(expected / report), str(report))
    return counted


def sampled(folder: Path) -> bool:
    """Whether it holds the contract of a log so large that it is judged by some of its rows, which are
    others where files are cut otherwise."""
    report = folder / "contract.json"
    days = json.loads(report.read_text())["days"].values() if report.exists() else []
    return sum(day["rows"] for day in days) > ALL_ROWS


def tables_of(folder: Path) -> dict[str, list[Path]]:
    """Tables by name: the parts of a day are one, however many files an engine makes of them."""
    tables: dict[str, list[Path]] = {}
    for file in sorted(folder.rglob("*.parquet")):
        name = re.sub(r"/part-[\d-]+\.parquet$", "", str(file.relative_to(folder)))
        tables.setdefault(name, []).append(file)
    return tables


def read(files: list[Path]) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(file, hive_partitioning=False, glob=False) for file in files])


def assert_values(found: Any, expected: Any, where: str) -> None:
    """JSON values, numbers within the tolerance."""
    if isinstance(found, dict) and isinstance(expected, dict):
        assert list(found) == list(expected), f"{where}: {list(found)}, not {list(expected)}"
        for key in found:
            assert_values(found[key], expected[key], f"{where} → {key}")
    elif isinstance(found, list) and isinstance(expected, list):
        assert len(found) == len(expected), f"{where}: {found}, not {expected}"
        for place, pair in enumerate(zip(found, expected, strict=True)):
            assert_values(*pair, f"{where} → {place}")
    elif isinstance(found, float) and isinstance(expected, float):
        close = math.isclose(found, expected, rel_tol=REL_TOL)
        assert close or (math.isnan(found) and math.isnan(expected)), f"{where}: {found}, not {expected}"
    else:
        assert found == expected and type(found) is type(expected), f"{where}: {found}, not {expected}"


@contextmanager
def _named(table: str) -> Iterator[None]:
    try:
        yield
    except AssertionError as error:
        error.add_note(f"in the table {table}")
        raise


def estimates_aside(text: str) -> str:
    """A message without the numbers of a sample, which is of other rows where files are cut otherwise."""
    if "(estimated)" in text:
        return re.sub(r"\d[\d,.]*", "#", text)
    found = re.search(r"AUC [\d.]+ (by this column alone.*) on ([\d,]+) rows", text)
    if found and int(found[2].replace(",", "")) > ALL_ROWS:
        return text.replace(found[0], f"AUC # {found[1]}")
    return text


def _said(file: Path) -> Any:
    said = json.loads(file.read_text())
    if file.name == "contract.json" and sampled(file.parent):
        said = said["findings"]
    return _own_aside(said)


def _own_aside(said: Any, name: str = "") -> Any:
    """Without what is an engine's own: names and sizes of files, its hashes of credited events and of
    repeated rows, the digests that these go into, and estimates from a sample of rows."""
    if isinstance(said, list):
        return [_own_aside(each, name) for each in said]
    if isinstance(said, str):
        return estimates_aside(said)
    if not isinstance(said, dict):
        return said
    if name == "credited" or (name == "repeated" and all(isinstance(t, str) for t in said.values())):
        return {source: text.partition(" ")[0] for source, text in said.items()}
    return {
        key: "" if isinstance(value, str) and _is_digest(key, value) else _own_aside(value, key)
        for key, value in said.items() if (key != "files" or name) and name != "judged"
    }


def _is_digest(name: str, value: str) -> bool:
    dated = re.fullmatch(r"[\d-]{10}|undated", name)  # what a day was made from
    return bool(re.fullmatch(r"[0-9a-f]{16}", value) and (dated or name in DIGESTS))
