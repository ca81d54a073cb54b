"""Who wins, who ties and who loses, on scores whose order is known."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from recmtl.errors import RecmtlError
from recmtl.evaluate.comparison import BEST, TIED, WORSE, Rows, RunScores, champion, compare
from recmtl.schema import Task

N = 3000
TASKS = {
    "ctr": Task(label="click"),
    "cvr": Task(label="bought", given="click"),
    "spend": Task(label="price", type="regression", given="bought"),
}


def made(seed: int = 0) -> Rows:
    random = np.random.default_rng(seed)
    click = (random.random(N) < 0.4).astype(np.float32)
    bought = click * (random.random(N) < 0.3).astype(np.float32)
    price = np.where(bought == 1, random.normal(10, 2, N), np.nan).astype(np.float32)
    labels = {"click": click, "bought": bought, "price": price}
    return Rows(labels, group=random.integers(0, 300, N))


def run(model: str, seed: int, rows: Rows, lift: float) -> RunScores:
    noise = np.random.default_rng([seed, len(model)]).normal(size=N)
    score = 1 / (1 + np.exp(-(noise + lift * rows.labels["click"])))
    return RunScores(model, seed, {"ctr": "trained"}, {"ctr": score.astype(np.float32)})


def test_verdicts_tell_the_best_a_tie_and_a_loser() -> None:
    rows = made()
    good = run("good", 1, rows, 1.5)
    almost = good.scores["ctr"] + 1e-3 * np.random.default_rng(1).normal(size=N).astype(np.float32)
    runs = [
        run("bad", 1, rows, 0.5), good, RunScores("same", 1, {"ctr": "derived"}, {"ctr": almost}),
    ]
    found = {line["model"]: line for line in compare(TASKS, rows, runs, "valid").models}
    assert found["bad"]["verdict"] == WORSE
    assert {found["good"]["verdict"], found["same"]["verdict"]} == {BEST, TIED}
    assert found["same"]["kind"] == "derived"
    assert found["bad"]["difference_high"] < 0
    best = max(found.values(), key=lambda line: line["auc"])
    assert found["bad"]["difference"] == pytest.approx(found["bad"]["auc"] - best["auc"])
    assert found["bad"]["auc_low"] < found["bad"]["auc"] < found["bad"]["auc_high"]


def test_seeds_are_averaged_and_widen_the_interval() -> None:
    rows = made()
    runs = [run("a", seed, rows, lift) for seed, lift in ((1, 0.6), (2, 1.0), (3, 1.4))]
    found = compare(TASKS, rows, runs, "test")
    values = [roc_auc_score(rows.labels["click"], r.scores["ctr"]) for r in runs]
    (line,) = found.models
    assert [r["auc"] for r in found.runs] == pytest.approx(values)
    assert line["auc"] == pytest.approx(np.mean(values))
    assert line["auc_std"] == pytest.approx(np.std(values, ddof=1))
    assert line["seeds"] == 3
    assert line["auc_high"] - line["auc"] > 1.9 * np.std(values, ddof=1) / np.sqrt(3)


def test_one_seed_has_no_spread() -> None:
    rows = made()
    (line,) = compare(TASKS, rows, [run("a", 1, rows, 1.0)], "test").models
    assert line["auc_std"] is None


def test_a_regression_is_judged_by_rmse_where_lower_is_best() -> None:
    rows = made()
    price = np.nan_to_num(rows.labels["price"], nan=0.0)
    noise = np.random.default_rng(2).normal(size=N).astype(np.float32)
    runs = [
        RunScores(f"off by {by}", 1, {"spend": "trained"}, {"spend": price + by * noise})
        for by in (3, 1)
    ]
    found = {line["model"]: line for line in compare(TASKS, rows, runs, "valid").models}
    assert found["off by 1"]["verdict"] == BEST
    assert found["off by 3"]["verdict"] == WORSE
    assert found["off by 3"]["difference_low"] > 0
    assert found["off by 1"]["rows"] == (rows.labels["bought"] == 1).sum()
    assert found["off by 1"]["auc"] is None


def test_without_both_classes_there_is_no_verdict_but_the_rest_stands() -> None:
    rows = made()
    rows.labels["click"][:] = 0
    (line,) = compare(TASKS, rows, [run("a", 1, rows, 1.0)], "valid").models
    assert line["auc"] is None
    assert line["verdict"] is None
    assert line["auc_low"] is None
    assert line["logloss"] > 0


def test_a_task_that_a_model_does_not_score_has_no_line() -> None:
    rows = made()
    found = compare(TASKS, rows, [run("a", 1, rows, 1.0)], "valid")
    assert [line["task"] for line in found.models] == ["ctr"]


def test_champion_has_the_best_mean_and_then_the_best_seed() -> None:
    rows = made()
    runs = [run("steady", s, rows, 1.2 + 0.05 * s) for s in (1, 2)]
    runs += [run("wild", 1, rows, 1.6), run("wild", 2, rows, 0.1)]
    found = compare(TASKS, rows, runs, "valid")
    assert champion(found, "auc_valid/ctr")[0] == "steady"
    steady = {line["seed"]: line["auc"] for line in found.runs if line["model"] == "steady"}
    assert champion(found, "auc_valid/ctr")[1] == max(steady, key=lambda s: steady[s])
    losses = {line["model"]: line["logloss"] for line in found.models}
    assert champion(found, "logloss_valid/ctr")[0] == min(losses, key=lambda m: losses[m])


def test_a_champion_by_a_mean_over_tasks_scores_all_of_them() -> None:
    rows = made()
    clicks, buys = (run("", 1, rows, lift).scores["ctr"] for lift in (1.5, 0.3))
    given = {"one": (clicks, None), "click": (clicks, 1 - buys), "even": (buys, buys)}
    runs = [
        RunScores(model, seed, {}, {"ctr": a} if b is None else {"ctr": a, "cvr": b})
        for model, (a, b) in given.items() for seed in (1, 2)
    ]
    found = compare(TASKS, rows, runs, "valid")
    by_task = {(line["model"], line["task"]): line for line in found.models}
    lines = {(line["model"], line["seed"], line["task"]): line["auc"] for line in found.means}
    assert {model for model, _, _ in lines} == {"click", "even"}
    pair = [by_task["click", task] for task in ("ctr", "cvr")]
    assert lines["click", 2, "tasks.macro"] == pytest.approx(np.mean([line["auc"] for line in pair]))
    assert lines["click", 2, "tasks.weighted"] == pytest.approx(
        np.average([line["auc"] for line in pair], weights=[line["rows"] for line in pair])
    )
    macro = {model: lines[model, 1, "tasks.macro"] for model in ("click", "even")}
    assert champion(found, "auc_valid/tasks.macro") == (max(macro, key=lambda m: macro[m]), 1)
    assert champion(found, "auc_valid/ctr") == ("one", 1)
    with pytest.raises(RecmtlError, match=r"no run has auc_valid/tasks\.macro"):
        champion(compare(TASKS, rows, runs[:2], "valid"), "auc_valid/tasks.macro")


def test_no_champion_without_the_metric() -> None:
    rows = made()
    with pytest.raises(RecmtlError, match="auc_valid/cvr"):
        champion(compare(TASKS, rows, [run("a", 1, rows, 1.0)], "valid"), "auc_valid/cvr")
