"""Types: those of the examples against their schema, those of the log's files against one another."""

from collections.abc import Iterator
from itertools import pairwise

from recmtl.data.contract.facts import Facts
from recmtl.data.contract.finding import Finding

NAME = "types"


def check(facts: Facts) -> Iterator[Finding]:
    for day in facts.days:
        for column, wanted in facts.manifest["columns"].items():
            found = day.types.get(column)
            if found != wanted:
                yield Finding(
                    level="error", check=NAME, column=column, day=day.name, expected=wanted,
                    found=found or "no such column", fix="remove the folder of examples and ingest again",
                )
    yield from _of_the_log(facts)


def _of_the_log(facts: Facts) -> Iterator[Finding]:
    """Columns whose type changes from one file to the next, and columns that not all files have."""
    files = list(dict.fromkeys(file for kinds in facts.types.values() for file in kinds))
    for column, kinds in facts.types.items():
        present = [file for file in files if file in kinds]
        for before, file in pairwise(present):
            if kinds[file] != kinds[before]:
                yield Finding(
                    level="note", check=NAME, column=column, expected=f"{kinds[before]}, as in {before}",
                    found=f"{kinds[file]} in {file}", fix="write a column with one type in all files",
                )
                break
        lacking = [file for file in files if file not in kinds]
        if lacking:
            yield Finding(
                level="note", check=NAME, column=column, expected="the same columns in all files",
                found=f"not in {len(lacking)} of {len(files)} files, e.g. {lacking[0]}",
                fix="write the column in all files, or drop it from all",
            )
