"""`configs/synthetic.toml` with any sharing, relation and type of task: three lines a model, no code."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recmtl import pipeline
from recmtl.data.synthetic import generate
from recmtl.demo import configuration
from recmtl.experiment import Experiment
from recmtl.folder import read_manifest
from recmtl.heads import HEADS, head_of
from recmtl.model.relation import Relation
from recmtl.model.sharing import Sharing
from recmtl.suite.checks import NEEDED, kinds

# The log's numbers and an hour, as labels of each type beside the clicks and conversions of the file.
LABELS = {"paid": "price", "of_age": "age", "at_hour": "hour"}
TASKS = {
    "age": {"label": "of_age", "type": "regression"},
    "price": {"label": "paid", "type": "regression", "log": True},
    "both": {"label": ["clicked", "converted"], "type": "multilabel"},
    "order": {"label": "at_hour", "type": "ordinal", "classes": 24},
    "hour": {"label": "at_hour", "type": "multiclass", "classes": 24},
    "near": {"label": "at_hour", "type": "retrieval", "classes": 24, "top": 3},
    "time": {"label": "paid", "type": "watch_time", "duration": "discount"},
}
LOSS = {"ctr": 1.0, "cvr": 1.0, "ctcvr": 1.0, **dict.fromkeys(TASKS, 0.1)}
COMBINATIONS = [(sharing, relation) for sharing in kinds(Sharing) for relation in kinds(Relation)]


def three_lines(sharing: str, relation: str) -> dict[str, Any]:
    by_quantiles = {"time": {"kind": "d2q", "groups": 4, "weight": 0.1}}
    return {
        "sharing": {"kind": sharing, "hidden": [8, 6]},
        "relation": {"kind": relation, **NEEDED.get(relation, {})},
        "loss": LOSS | (by_quantiles if relation == "independent" else {}),
    }


def experiment() -> Experiment:
    file = configuration("synthetic")
    content = tomllib.loads(file.read_text())
    content["labels"] |= LABELS
    content["tasks"] |= TASKS
    for read in LABELS.values():  # no label is a feature
        del content["features"][read]
    content["models"] = {f"{s}_{r}": three_lines(s, r) for s, r in COMBINATIONS}
    content["train"] |= {"epochs": 1, "seeds": [1]}
    return Experiment.parse(content, file.absolute().parent)


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the log, which the file names, and of its shards in out/."""
    folder = tmp_path_factory.mktemp("synthetic")
    generate(folder, 6_000, seed=1)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RECMTL_SYNTHETIC", str(folder))
        for step in (pipeline.ingest, pipeline.encode):
            step(experiment(), folder / "out", pipeline.Options(track=False))
        yield folder


def test_every_type_of_task_is_among_them() -> None:
    types = {task.get("type", "binary") for task in TASKS.values()} | {"binary"}
    assert types == HEADS.keys()


@pytest.mark.slow
@pytest.mark.parametrize(("sharing", "relation"), COMBINATIONS)
def test_three_lines_train_and_are_measured(encoded: Path, sharing: str, relation: str) -> None:
    model = f"{sharing}_{relation}"
    options = pipeline.Options(track=False, device="cpu", models=[model], seeds=[1])
    (run,) = pipeline.train(experiment(), encoded / "out", options)
    metrics = read_manifest(run)["epochs"][-1]["metrics"]
    losses = [value for name, value in metrics.items() if name.startswith("loss_train/")]
    assert len(losses) >= len(LOSS) and np.isfinite(losses).all()
    for name, task in experiment().tasks.items():
        assert np.isfinite(metrics[f"{head_of(task).headline}_valid/{name}"])
