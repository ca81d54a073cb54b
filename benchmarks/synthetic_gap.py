"""Synthetic log in; per task out: the AUC of the oracle, of a one-hot logistic regression and of models.

    python benchmarks/synthetic_gap.py LOG [--rows 400000 --seed 7] [--run runs/synthetic]

LOG is a folder of `recmtl.data.synthetic.generate`; it is written where it is missing. `--run` adds
the models of a finished run (its evaluation/report.json) and the share of the gap that each closes.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.dataset as ds
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from recmtl.data.synthetic import generate

CATEGORICAL = ("user_id", "item_id", "segment", "category", "device", "hour")
NUMERIC = ("age", "price", "discount")
BAGS = ("tags", "history")
MIN_COUNT = 2  # as in configs/synthetic.toml
TASKS = ("ctr", "cvr", "ctcvr")


def main() -> None:
    """Print one line a task, then one line a model and task."""
    options = _options()
    if not (options.log / "truth.json").exists():
        generate(options.log, options.rows, options.seed)
    truth = json.loads((options.log / "truth.json").read_text())["test"]
    baseline = logistic_regression(options.log)
    print(f"test day: {truth['impressions']:,} impressions, {truth['clicks']:,} clicks, "
          f"{truth['conversions']:,} conversions")
    print(f"{'task':8}{'oracle':>9}{'one-hot':>9}{'gap':>9}")
    for task in TASKS:
        best = truth["auc"][task]
        print(f"{task:8}{best:9.4f}{baseline[task]:9.4f}{best - baseline[task]:9.4f}")
    for row in _report(options.run):
        low = baseline[row["task"]]
        closed = (row["auc"] - low) / (truth["auc"][row["task"]] - low)
        print(f"{row['model']:24}{row['seed']:>4} {row['task']:8}{row['auc']:9.4f}{closed:8.0%} closed")


def logistic_regression(log: Path) -> dict[str, float]:
    """Test AUC per task, one regression each, on the columns that the models read."""
    train, test = _parts(log)
    encoder = OneHot(train)
    x, x_test = encoder.transform(train), encoder.transform(test)
    spaces = {"ctr": ("click", False), "cvr": ("conversion", True), "ctcvr": ("conversion", False)}
    scores = {}
    for task, (label, clicked) in spaces.items():
        rows = train["click"].to_numpy() == 1 if clicked else np.ones(len(train), bool)
        rows_test = test["click"].to_numpy() == 1 if clicked else np.ones(len(test), bool)
        model = LogisticRegression(C=0.1, max_iter=200).fit(x[rows], train[label].to_numpy()[rows])
        margin = model.decision_function(x_test[rows_test])
        scores[task] = float(roc_auc_score(test[label].to_numpy()[rows_test], margin))
    return scores


class OneHot:
    """Columns as a sparse matrix: ids one-hot above the minimum count, bags multi-hot, numbers scaled."""

    def __init__(self, train: pd.DataFrame) -> None:
        self._values: dict[str, pd.Index] = {}
        for name in CATEGORICAL + BAGS:
            counts = train[name].explode().value_counts()
            self._values[name] = counts.index[counts >= MIN_COUNT]
        numbers = _numbers(train)
        self._mean, self._scale = np.nanmean(numbers, axis=0), np.nanstd(numbers, axis=0)

    def transform(self, table: pd.DataFrame) -> sparse.csr_matrix:
        """(N, width); a missing number is its mean, with an indicator beside it."""
        scaled = (_numbers(table) - self._mean) / self._scale
        dense = np.hstack([np.nan_to_num(scaled), np.isnan(scaled)])
        blocks = [self._block(table[name], values) for name, values in self._values.items()]
        return sparse.hstack([*blocks, sparse.csr_matrix(dense)]).tocsr()

    def _block(self, column: pd.Series, values: pd.Index) -> sparse.csr_matrix:
        flat = column.reset_index(drop=True).explode()
        place = values.get_indexer(pd.Index(flat))
        rows, places = flat.index.to_numpy()[place >= 0], place[place >= 0]
        ones = np.ones(len(rows))
        return sparse.csr_matrix((ones, (rows, places)), shape=(len(column), len(values)))


def _numbers(table: pd.DataFrame) -> np.ndarray:
    columns = table[list(NUMERIC)].astype(float)
    return columns.assign(price=np.log1p(columns["price"])).to_numpy()


def _parts(log: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The first eight days to train on, the last one to test on; the ninth is for choices."""
    files = sorted((log / "log").glob("*.parquet"))
    days = sorted({file.name[:10] for file in files})
    train = [file for file in files if file.name[:10] in days[:-2]]
    test = [file for file in files if file.name[:10] == days[-1]]
    return _frame(train), _frame(test)


def _frame(files: list[Path]) -> pd.DataFrame:
    frame: pd.DataFrame = ds.dataset(files).to_table().to_pandas()
    return frame


def _report(run: Path | None) -> Iterator[dict[str, Any]]:
    """The models' test AUCs of a finished run."""
    if run is None:
        return
    report = json.loads((run / "evaluation" / "report.json").read_text())
    for row in report["runs"]:
        if row["part"] == "test" and row["task"] in TASKS and row.get("auc") is not None:
            yield row


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("log", type=Path, nargs="?", default=Path("runs/synthetic-log"))
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--run", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
