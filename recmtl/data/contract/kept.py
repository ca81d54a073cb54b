"""What the last report keeps of days that are as they were, so that they are not measured again."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from recmtl.data.contract.day import Day
from recmtl.data.contract.known import Seen
from recmtl.data.contract.log import is_large
from recmtl.errors import RecmtlError
from recmtl.folder import digest, read_manifest

VALUES = "values.parquet"


@dataclass(frozen=True)
class Kept:
    """The first days, up to the first one that changed, and the values that were there on them."""

    days: tuple[Day, ...]
    seen: Seen

    @classmethod
    def open(cls, report: Path, keys: Mapping[str, str]) -> "Kept":
        """`keys` are what the days, in order, are made from now; without a report nothing is kept."""
        try:
            read_manifest(report.parent)
            old = json.loads(report.read_text())["days"]
        except (RecmtlError, OSError, ValueError, KeyError):
            return cls((), Seen())
        days = []
        for (name, key), (then, day) in zip(keys.items(), old.items(), strict=False):
            if name != then or day.get("key") != key or not day["columns"]:
                break
            days.append(Day.from_json(day))
        seen = Seen.load(report.with_name(VALUES), days[-1].name) if days else Seen()
        return cls(tuple(days), seen)


def day_keys(
    manifest: Mapping[str, Any], version: int, states: Mapping[str, str]
) -> dict[str, str]:
    """What the numbers of each day depend on; hashes are those of this version of DuckDB. `states` are
    what the rates of a day were made from.
    """
    software = [version, duckdb.__version__]
    settings = [software, manifest["settings"], manifest["columns"], is_large(manifest)]
    return {
        day: digest([settings, manifest["made_from"][day], manifest["days"][day], states.get(day)])
        for day in sorted(manifest["days"])
    }
