"""Types: those of the examples against their schema, those of the files they come from by their days."""

from collections.abc import Iterator
from itertools import pairwise

from recmtl.data.contract.facts import Facts
from recmtl.data.contract.finding import Finding
from recmtl.data.contract.inputs import Files
from recmtl.data.logs.values import family

NAME = "types"
EMPTY = {"null", "list of null"}  # families of files that hold nulls alone


def check(facts: Facts) -> Iterator[Finding]:
    for day in facts.days:
        for column, wanted in facts.manifest["columns"].items():
            found = day.types.get(column)
            if found != wanted:
                yield Finding(
                    level="error", check=NAME, column=column, day=day.name, expected=wanted,
                    found=found or "no such column", fix="remove the folder of examples and ingest again",
                )
    for where, files in facts.types.items():
        for column in files.types:
            yield from _changed(files, where, column)
            yield from _lacking(files, where, column)
        for column in files.nulls:
            yield from _emptied(files, where, column)


def _changed(files: Files, where: str, column: str) -> Iterator[Finding]:
    """A type that is not that of the day before; of another family it means something else."""
    kinds = files.types[column]
    present = [file for file in files.names if file in kinds]
    for before, file in pairwise(present):
        if kinds[file] != kinds[before]:
            alike = {family(kinds[file]), family(kinds[before])}
            yield Finding(
                level="note" if len(alike - EMPTY) < 2 else "warning", check=NAME, column=column,
                day=files.days.get(file), expected=f"{kinds[before]}, as in {before}",
                found=f"{kinds[file]} in {file}", fix=f"write the column with one type in all of {where}",
            )
            return


def _lacking(files: Files, where: str, column: str) -> Iterator[Finding]:
    """A column that not all files have; one that the newest do not have any more was lost."""
    there = [file in files.types[column] for file in files.names]
    lacking = [file for file, has in zip(files.names, there, strict=True) if not has]
    if not lacking:
        return
    since = len(there) - there[::-1].index(True)
    lost = since < len(there)
    first, which = (files.names[since], "any more since") if lost else (lacking[0], "e.g.")
    yield Finding(
        level="warning" if lost else "note", check=NAME, column=column, day=files.days.get(first),
        expected="the column, as in the files before" if lost else "the same columns in all files",
        found=f"not in {len(lacking)} of {len(there)} files, {which} {first}",
        fix=f"write the column in all files of {where}, or drop it from all",
    )


def _emptied(files: Files, where: str, column: str) -> Iterator[Finding]:
    """A column without any value in a file, which had some in the one before."""
    nulls = files.nulls[column]
    for before, file in pairwise([file for file in files.names if file in nulls]):
        if nulls[file] == 1 > nulls[before]:
            yield Finding(
                level="warning", check="nullability", column=column, expected=f"values, as in {before}",
                found=f"null in every row of {file}", fix=f"look at what wrote this file of {where}",
            )
            return
