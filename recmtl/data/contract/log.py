"""The log itself, beyond the examples: rows that repeat another, outcomes without an earlier step, types.

All is counted by day, of the days that are asked for.
"""

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from typing import Any

from sqlglot import exp

from recmtl.data.contract.funnels import Breaks
from recmtl.data.database import Database
from recmtl.data.labels import Expression, parse
from recmtl.data.logs.conditions import fitted, read_condition
from recmtl.data.logs.files import find
from recmtl.data.logs.moment import day_of, time_of
from recmtl.data.logs.repeats import identity
from recmtl.data.logs.table import narrow, open_table
from recmtl.data.logs.values import family
from recmtl.data.query import column, expression, statement, text, tree
from recmtl.schema import Problem

LARGE = 4_000_000  # rows: of a larger log one in SHARE is looked at, by the hash of what identifies it
SHARE = 16
_NUMBERS = {"integer", "boolean", "float"}


class Log:
    """The log of a problem, opened, from the first of `days` on."""

    def __init__(
        self, db: Database, problem: Problem, manifest: Mapping[str, Any],
        days: Collection[str],
    ) -> None:
        self._db, self._problem, self._large = db, problem, is_large(manifest)
        source = problem.data.impressions
        self.table = open_table(
            db, "log", "data.impressions", find(problem, source.paths, "data.impressions")
        )
        self._files = _files(self.table.files, manifest, days)
        narrow(db, "log", self._files)
        day = day_of(self.table, source, time_of(self.table, source))
        self._day = exp.cast(day, "DATE") if day is not None else exp.convert("undated")
        where = read_condition(self.table, "data.impressions.where", source.where)
        self._meant = where.condition("log") if where else exp.true()
        self._kept = self._meant
        if day is not None:
            since = exp.cast(exp.convert(min(days)), "DATE")
            self._kept = exp.and_(self._meant, exp.GTE(this=self._day.copy(), expression=since))

    @property
    def identity(self) -> tuple[str, ...]:
        """The columns in which a repeated row agrees."""
        return identity(self._problem.data, self.table.types)

    def repeats(self) -> dict[str, tuple[int, int | None]] | None:
        """By day: rows that repeat one of their day, and those equal to one, None where that is not read.

        None where a large log has nothing that identifies a row.
        """
        names, source = tuple(self.table.types), self._problem.data.impressions
        if self._large and self.identity == names:
            return None
        known = column(self.identity[0], "log").is_(exp.null()).not_() if source.id else exp.true()
        share = SHARE if self._large else 1
        query = tree(
            "contract_repeats", day=self._day, id=_hash(self.identity), share=exp.convert(share),
            whole=_hash(self.identity if self._large else names), condition=exp.and_(self._kept, known),
        )
        found = self._db.execute(text(query)).fetchall()
        return {day: (rows * share, None if self._large else equal) for day, rows, equal in found}

    def again(self) -> dict[str, int]:
        """By day: rows whose id stands on an earlier day, too, which the whole log is searched for."""
        id_ = self._problem.data.impressions.id
        if not id_ or not isinstance(self._day, exp.Cast):
            return {}
        share = SHARE if self._large else 1
        known = exp.and_(self._meant, column(id_, "log").is_(exp.null()).not_())
        narrow(self._db, "log", self.table.files)
        query = statement(
            "contract_again", day=self._day, id=_hash((id_,)), share=exp.convert(share), condition=known
        )
        found = dict(self._db.execute(query).fetchall())
        narrow(self._db, "log", self._files)
        return {day: rows * share for day, rows in found.items()}

    def breaks(self) -> dict[str, Breaks]:
        """For each label that is `given` somewhere and each column of 0 and 1 among the outcomes."""
        steps = self._steps()
        flags = self._flags(self._outcomes()) if steps else []
        if not flags:
            return {}
        query = tree("contract_outcomes", day=self._day, condition=self._kept)
        assert isinstance(query, exp.Select)
        for name, step in steps.items():
            query = query.select(exp.alias_(step.condition("log"), f"step_{name}", quoted=True))
        query = query.select(*(column(name, "log") for name in flags))
        found: dict[str, Breaks] = {}
        for day, rows, *values in self._db.execute(text(query)).fetchall():
            there = [flag for flag, value in zip(flags, values[len(steps):], strict=True) if value]
            for (name, step), held in zip(steps.items(), values, strict=False):
                for flag in there:
                    if flag not in step.columns:
                        pairs = found.setdefault(day, {})
                        positives, breaks = pairs.get((name, flag), (0, 0))
                        pairs[name, flag] = positives + rows, breaks + rows * (held is False)
        return found

    def _steps(self) -> dict[str, Expression]:
        """The labels that others are given, as far as the log itself has their columns."""
        given = dict.fromkeys(task.given for task in self._problem.tasks.values() if task.given)
        read = {name: parse(f"[labels] {name}", self._problem.labels[name]) for name in given if name}
        return {
            name: fitted(self.table, step) for name, step in read.items()
            if set(step.columns) <= self.table.types.keys()
        }

    def _outcomes(self) -> list[str]:
        """What is no feature: outcomes, and columns that labels read."""
        labels = [parse(f"[labels] {name}", label) for name, label in self._problem.labels.items()]
        read = {name for label in labels for name in label.columns}
        patterns = self._problem.data.outcomes
        return [
            name for name in self.table.types
            if name in read or any(fnmatchcase(name, pattern) for pattern in patterns)
        ]

    def _flags(self, names: list[str]) -> list[str]:
        """Those of the columns that hold nothing but 0, 1 and null."""
        fitting = [
            name for name in names
            if {family(kind) for kind in self.table.types[name].values()} <= _NUMBERS
        ]
        if not fitting:
            return []
        query = tree("contract_flags")
        assert isinstance(query, exp.Select)
        tests = [expression("contract_flags", "flag", value=column(name, "log")) for name in fitting]
        (found,) = self._db.execute(text(query.select(*tests, append=False))).fetchall()
        return [name for name, flag in zip(fitting, found, strict=True) if flag]


def _hash(names: tuple[str, ...]) -> exp.Expr:
    return exp.func("hash", *(column(name, "log") for name in names))


def is_large(manifest: Mapping[str, Any]) -> bool:
    """Whether a log is too large to compare its rows in full."""
    return bool(sum(day["rows"] for day in manifest["days"].values()) > LARGE)


def _files(files: tuple[str, ...], manifest: Mapping[str, Any], days: Collection[str]) -> tuple[str, ...]:
    """The files that have rows on any of the days."""
    there = {s["path"] for s in manifest["sources"] if set(s["days"] or ()) & set(days)}
    return tuple(file for file in files if file in there) or files
