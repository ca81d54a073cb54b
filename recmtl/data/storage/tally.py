"""Blocks of encoded rows in; what the split gives out: rows, positives, nulls, broken products."""

from itertools import combinations
from typing import Any

import numpy as np

from recmtl.data.examples import PARTS, Examples
from recmtl.data.storage.rowfiles import Rows
from recmtl.errors import RecmtlError
from recmtl.heads import head_of
from recmtl.schema import Problem

Part = dict[str, Any]  # {"rows", "labels": {label: {"positives", "nulls"}}}


class Tally:
    """What was seen of every part so far."""

    def __init__(self, problem: Problem, examples: Examples) -> None:
        self._problem, self._examples = problem, examples
        tasks = problem.tasks
        self._chains = {n: [tasks[f].labels[0] for f in task.product] for n, task in tasks.items()}
        booleans = {n: task.labels for n, task in tasks.items() if head_of(task).domain.boolean}
        self._booleans = [(n, label) for n, labels in booleans.items() for label in labels]
        self._parts: dict[str, Part] = {
            part: {"rows": 0, "labels": {n: {"positives": 0, "nulls": 0} for n in problem.labels}}
            for part in PARTS
        }
        self._given = dict.fromkeys(self._booleans, 0)  # positives of train where `given` is 1
        self._breaks: dict[tuple[str, str, str], list[Any]] = {}  # → rows, the first's origin

    def add(self, part: str, rows: Rows, places: np.ndarray) -> None:
        """Add the rows of a part, which stand at these places, (n,) int64."""
        taken, origin = (rows.matrices[name].take(places, axis=0) for name in ("labels", "origin"))
        labels = dict(zip(self._problem.labels, taken.T, strict=True))
        self._parts[part]["rows"] += len(places)
        for name, label in labels.items():
            counts = self._parts[part]["labels"][name]
            counts["positives"] += int((label > 0).sum())
            counts["nulls"] += int(np.isnan(label).sum())
        for name, label_name in self._booleans if part == "train" else ():
            given = self._problem.tasks[name].given
            inside = True if given is None else labels[given] == 1
            self._given[name, label_name] += int(((labels[label_name] > 0) & inside).sum())
        for name, task in self._problem.tasks.items():
            for label_name in task.labels:
                self._in_domain(name, label_name, labels[label_name], origin)
            for earlier, later in combinations(self._chains[name], 2):
                broken = np.flatnonzero((labels[later] == 1) & (labels[earlier] == 0))
                if len(broken):
                    found = self._breaks.setdefault((name, earlier, later), [0, origin[broken[0]]])
                    found[0] += len(broken)

    def _in_domain(self, name: str, label: str, values: np.ndarray, origin: np.ndarray) -> None:
        """Ingest looks at the log's own columns; what is made of events is looked at here."""
        domain = head_of(self._problem.tasks[name]).domain
        wrong = np.flatnonzero(domain.outside(values))
        if len(wrong):
            file, row = origin[wrong[0]].tolist()
            raise RecmtlError(
                f"the label {label!r} is {values[wrong[0]]:g}", where=f"[tasks] {name}",
                expected=domain.expected,
                found=f"row {row} of {self._examples.manifest['sources'][file]['path']}",
                fix="check the label's expression",
            )

    def parts(self) -> dict[str, Part]:
        """Raises RecmtlError for a part without rows, a task without positives, a broken product.

        A product must hold in all parts: an evaluation would be as wrong as the training.
        """
        for part in PARTS:
            if not self._parts[part]["rows"]:
                raise self._no_rows(part)
        for (name, label), positives in self._given.items():
            if not positives:
                raise self._no_positives(name, label)
        for found in self._breaks.items():
            raise self._broken(*found)
        return self._parts

    def _no_rows(self, part: str) -> RecmtlError:
        days = self._examples.manifest["days"]
        found = ", ".join(f"{day} ({content['rows']} rows)" for day, content in sorted(days.items()))
        return RecmtlError(
            f"the {part} part has no rows", where=f"[data] split = {self._split}",
            found=f"examples of {found or 'no day'}",
            fix="choose a split that gives rows to train, valid and test",
        )

    def _no_positives(self, name: str, label: str) -> RecmtlError:
        task, train = self._problem.tasks[name], self._parts["train"]
        space = f" where {task.given!r} is 1" if task.given else ""
        nulls = train["labels"][label]["nulls"]
        return RecmtlError(
            f"the label {label!r} is never 1 on train{space}: there is nothing to learn",
            where=f"[tasks] {name}",
            found=f"{train['rows']} rows, {nulls} of them null, split {self._split}",
            fix="choose a longer train part, check the label, or leave the task out",
        )

    def _broken(self, place: tuple[str, str, str], found: list[Any]) -> RecmtlError:
        (name, earlier, later), (rows, origin) = place, found
        file, row = origin.tolist()
        return RecmtlError(
            f"{later!r} is 1 in {rows} rows where {earlier!r} is 0: that is no product",
            where=f"[tasks] {name}",
            found=f"first in row {row} of {self._examples.manifest['sources'][file]['path']}",
            fix=f"define the label {later!r} as \"{earlier} and …\", or drop the product",
        )

    @property
    def _split(self) -> dict[str, Any]:
        return self._problem.data.split.model_dump(exclude_none=True)
