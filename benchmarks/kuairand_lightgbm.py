"""recmtl's champion and LightGBM on the same encoded columns and rates of KuaiRand, in one run.

    python benchmarks/kuairand_lightgbm.py RUN [--test]     after `recmtl evaluate` of that run

LightGBM reads the shards that recmtl's models read, with a model a task; how it reads ids, and how
large its trees are, is chosen on valid by the mean AUC of the three tasks, as recmtl's model is.
With --test, both are compared on the test rows: the difference of the mean AUC, paired by user.
"""

import argparse
import itertools
import json
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pyarrow.parquet as pq
from sklearn.metrics import roc_auc_score

from recmtl.data.shards import Shards

TASKS = {"ctr": ("click", None), "ctcvr": ("converted", None), "cvr": ("converted", "click")}
SEEDS = (1, 2, 3)
IDS = ("user_id", "video_id", "author_id", "music_id")
ID_FORMS = ("category", "number", "left out")
LEAVES = (15, 31, 63)
DRAWS = 400


def matrix(shards: Shards, ids: str) -> tuple[np.ndarray, list[int]]:
    """Columns (N, F), slots first, then list columns' first two elements and numbers; the categories."""
    layout = shards.layout
    kept = [i for i, s in enumerate(layout.slots) if ids != "left out" or s.name not in IDS]
    firsts = np.array([layout.slots[i].first for i in kept])
    columns = [np.asarray(shards.rows)[:, kept] - firsts]
    for slot in layout.lists:
        values, offsets = shards.content.lists[slot.name]
        starts, lengths = offsets[:-1], np.diff(offsets)
        for place in (0, 1):
            at = np.minimum(starts + place, max(len(values) - 1, 0))
            columns.append(np.where(lengths > place, values[at] - slot.first, -1)[:, None])
    names = [layout.slots[i].name for i in kept]
    categories = [i for i, n in enumerate(names) if ids == "category" or n not in IDS]
    categories += range(len(names), len(names) + 2 * len(layout.lists))
    return np.concatenate([*columns, shards.dense], axis=1).astype(np.float32), categories


def space(shards: Shards, task: str) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the task's label space, and their labels."""
    label, given = TASKS[task]
    values = shards.labels(label)
    inside = ~np.isnan(values)
    if given:
        inside &= shards.labels(given) == 1
    return inside, values[inside]


def fit(parts: dict[str, Shards], task: str, ids: str, leaves: int, seed: int) -> lgb.Booster:
    data: dict[str, lgb.Dataset] = {}
    for name in ("train", "valid"):
        columns, categories = matrix(parts[name], ids)
        inside, label = space(parts[name], task)
        data[name] = lgb.Dataset(
            columns[inside], label, categorical_feature=categories, reference=data.get("train"),
            params={"max_cat_to_onehot": 8, "cat_smooth": 50, "min_data_per_group": 100, "verbose": -1},
        )
    settings = {
        "objective": "binary", "metric": "auc", "learning_rate": 0.05, "num_leaves": leaves,
        "min_data_in_leaf": 100, "feature_fraction": 0.5, "bagging_fraction": 0.8, "bagging_freq": 1,
        "lambda_l2": 1.0, "seed": seed, "verbose": -1, "num_threads": 2,
    }
    return lgb.train(
        settings, data["train"], 1000, [data["valid"]],
        callbacks=[lgb.early_stopping(50, verbose=False)],
    )


def scores(model: lgb.Booster, part: Shards, ids: str) -> np.ndarray:
    return np.asarray(model.predict(matrix(part, ids)[0], num_iteration=model.best_iteration))


def auc(part: Shards, task: str, score: np.ndarray, weight: np.ndarray | None = None) -> float:
    inside, label = space(part, task)
    weights = None if weight is None else weight[inside]
    return float(roc_auc_score(label, score[inside], sample_weight=weights))


def choose(parts: dict[str, Shards]) -> tuple[str, int]:
    """The way to read ids and the size of trees that are best on valid."""
    found = {}
    for ids, leaves in itertools.product(ID_FORMS, LEAVES):
        values = [
            auc(parts["valid"], t, scores(fit(parts, t, ids, leaves, 1), parts["valid"], ids))
            for t in TASKS
        ]
        found[ids, leaves] = np.mean(values)
        print(f"valid, LightGBM, ids {ids}, {leaves} leaves: "
              f"{' / '.join(f'{v:.4f}' for v in values)}", flush=True)
    return max(found, key=found.__getitem__)


def ours(run: Path) -> tuple[str, list[dict[str, np.ndarray]]]:
    """The champion's model on valid by the mean of the three tasks, and its test scores by seed."""
    report = json.loads((run / "evaluation" / "report.json").read_text())
    valid = [line for line in report["models"] if line["part"] == "valid"]
    models = dict.fromkeys(line["model"] for line in valid)
    best = max(models, key=lambda m: np.mean([line["auc"] for line in valid if line["model"] == m]))
    tables = [
        pq.read_table(file)
        for file in sorted((run / "evaluation" / "scores" / best).glob("seed-*/*.parquet"))
    ]
    return best, [{task: table[task].to_numpy() for task in TASKS} for table in tables]


def compare(test: Shards, left: list[dict[str, np.ndarray]], right: list[dict[str, np.ndarray]]) -> None:
    """Mean AUC over seeds and tasks, left less right, with users drawn with replacement."""
    users = np.unique(test.keys()["user_id"].to_numpy(), return_inverse=True)[1]
    rng = np.random.default_rng(0)

    def means(weight: np.ndarray | None) -> np.ndarray:
        """(2, tasks): AUC averaged over the seeds."""
        return np.array([
            [np.mean([auc(test, t, run[t], weight) for run in side]) for t in TASKS]
            for side in (left, right)
        ])

    value = means(None)
    for name, row in zip(("recmtl", "LightGBM"), value, strict=True):
        print(f"test, {name}: {' / '.join(f'{v:.4f}' for v in row)}, mean {row.mean():.4f}")
    draws = []
    for _ in range(DRAWS):
        drawn = np.bincount(rng.integers(0, users.max() + 1, users.max() + 1), minlength=users.max() + 1)
        draws.append(np.diff(means(drawn[users].astype(float))[::-1], axis=0)[0])
    by_task = np.array(draws)
    for name, at, values in [
        *zip(TASKS, value[0] - value[1], by_task.T, strict=True),
        ("mean of the three", (value[0] - value[1]).mean(), by_task.mean(axis=1)),
    ]:
        low, high = np.quantile(values, [0.025, 0.975])
        print(f"recmtl less LightGBM, {name}: {at:+.4f} ({low:+.4f} to {high:+.4f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--test", action="store_true", help="read the test rows")
    chosen = parser.parse_args()
    names = ("train", "valid", "test") if chosen.test else ("train", "valid")
    parts = {name: Shards.open(chosen.run / "shards" / name) for name in names}
    ids, leaves = choose(parts)
    print(f"chosen on valid: ids {ids}, {leaves} leaves")
    if chosen.test:
        model, left = ours(chosen.run)
        print(f"recmtl: {model}")
        right = [
            {t: scores(fit(parts, t, ids, leaves, seed), parts["test"], ids) for t in TASKS}
            for seed in SEEDS
        ]
        compare(parts["test"], left, right)


if __name__ == "__main__":
    main()
