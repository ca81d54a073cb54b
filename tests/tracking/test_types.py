"""Tasks of every type from one file through the whole pipeline: log, report, bundle, scores, MLflow."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recmtl import pipeline
from recmtl.bundle import Bundle
from recmtl.errors import RecmtlError
from recmtl.scoring import Scorer
from recmtl.tracking.store import connect
from tests import tiny_shop

CONFIG = """
name = "types"

[data]
impressions = {{ path = "{folder}/log/*.parquet", day = "day" }}
keys  = ["user", "item"]
group = "user"
split = {{ valid = "2024-01-03", test = "2024-01-04" }}
outcomes = ["bought"]

[labels]
click    = "clicked"
reaction = "reaction"
stars    = "stars"
spent    = "spent"
seconds  = "seconds"
like     = "liked"
share    = "clicked and liked"

[features]
user  = {{ kind = "categorical" }}
item  = {{ kind = "categorical" }}
price = {{ kind = "numeric" }}

[tasks]
reaction = {{ label = "reaction", type = "multiclass", classes = ["skip", "look", "like", "love"] }}
stars    = {{ label = "stars", type = "ordinal", classes = 5, given = "click" }}
spent    = {{ label = "spent", type = "regression", log = true }}
both     = {{ label = ["spent", "seconds"], type = "regression" }}
social   = {{ label = ["like", "share"], type = "multilabel" }}
watch    = {{ label = "seconds", type = "watch_time", duration = "price" }}
nearest  = {{ label = "stars", type = "retrieval", classes = 5, top = 2 }}
ctr      = {{ label = "click" }}

[models.mmoe]
sharing   = {{ kind = "mmoe", experts = 2, hidden = [8] }}
weighting = {{ kind = "uncertainty" }}

[models.mmoe.loss]
reaction = 1.0
stars    = 1.0
spent    = 1.0
both     = 1.0
social   = 1.0
watch    = 1.0
nearest  = 1.0
ctr      = 1.0

[models.separate]
sharing = {{ kind = "separate", hidden = [8] }}

[models.separate.loss]
reaction = {{ kind = "softmax", class_weights = "balanced", smoothing = 0.1 }}
stars    = {{ kind = "coral", weight = 0.5 }}
spent    = {{ kind = "huber" }}
both     = {{ kind = "absolute" }}
social   = {{ kind = "zlpr" }}
watch    = {{ kind = "d2q", groups = 4 }}
nearest  = {{ kind = "sampled_softmax", samples = 3, proposal = "uniform" }}
ctr      = 1.0

[train]
epochs        = 2
batch_size    = 256
learning_rate = 0.01
monitor       = "mae_valid/stars"
"""
COLUMNS = {"reaction": 4, "stars": 5, "spent": None, "both": 2, "social": 2, "watch": None, "nearest": 4,
           "ctr": None}
HEADLINES = {"reaction": "logloss", "stars": "mae", "spent": "rmse", "both": "nrmse", "social": "auc",
             "watch": "mae", "nearest": "logloss", "ctr": "auc"}


def log() -> pd.DataFrame:
    """The shop's, with outcomes of other types, some of them null."""
    frame = tiny_shop.log().dropna(subset=["item"]).astype({"item": "int64"})
    random = np.random.default_rng(7)
    taste = (frame["user"] % 5 + frame["item"] % 5 + random.integers(0, 3, len(frame))) / 10

    def known(column: pd.Series) -> pd.Series:
        return column.where(random.random(len(frame)) < 0.9)

    frame["reaction"] = known(pd.cut(taste, 4, labels=["skip", "look", "like", "love"]).astype(object))
    frame["stars"] = known((taste * 4.9).astype(int))
    frame["spent"] = known(np.expm1(3 * taste))
    frame["seconds"] = (60 * (taste - 0.3)).clip(lower=0)
    frame["liked"] = known((taste > 0.5).astype(float))
    return frame


def write(folder: Path, frame: pd.DataFrame) -> Path:
    (folder / "log").mkdir(parents=True)
    for day, rows in frame.groupby("day"):
        rows.to_parquet(folder / "log" / f"{day}.parquet", index=False)
    (folder / "types.toml").write_text(CONFIG.format(folder=folder))
    return folder / "types.toml"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, fresh_database: Path) -> Iterator[Path]:
    """The folder of a finished run, and the working directory whose store holds its tracking."""
    folder = tmp_path_factory.mktemp("types")
    shutil.copy(fresh_database, folder / "mlflow.db")
    config, options = write(folder, log()), pipeline.Options(device="cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for step in (pipeline.ingest, pipeline.encode, pipeline.train, pipeline.evaluate):
            step(config, folder / "out", options)
        yield folder


@pytest.fixture(scope="module")
def report(made: Path) -> dict:
    return json.loads((made / "out" / "evaluation" / "report.json").read_text())


def test_each_task_is_judged_by_its_headline_with_an_interval(report: dict) -> None:
    assert {line["task"] for line in report["models"]} == COLUMNS.keys()
    for line in report["models"]:
        metric = HEADLINES[line["task"]]
        assert line[f"{metric}_low"] <= line[metric] <= line[f"{metric}_high"]
        assert line["verdict"] in ("best", "tied with best", "worse")
    best = min((m for m in report["models"] if (m["task"], m["part"]) == ("stars", "valid")),
               key=lambda line: line["mae"])
    assert report["champion"] == {"model": best["model"], "seed": 1}


def test_means_over_tasks_of_a_metric_stand_beside_theirs_in_mlflow(made: Path, report: dict) -> None:
    client = connect(f"sqlite:///{made / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("types")
    assert experiment is not None
    runs = {run.data.tags["recmtl.model"]: run.data.metrics
            for run in client.search_runs([experiment.experiment_id])}
    over = {"logloss": ["reaction", "nearest"], "accuracy": ["reaction", "stars", "nearest"],
            "auc": ["social", "ctr"]}
    lines = [line for line in report["runs"] if line["part"] == "test"]
    for model in ("mmoe", "separate"):
        own = {line["task"]: line for line in lines if line["model"] == model}
        for metric, tasks in over.items():
            values, rows = ([own[task][name] for task in tasks] for name in (metric, "rows"))
            means = {"tasks.macro": np.mean(values), "tasks.weighted": np.average(values, weights=rows)}
            for mean, expected in means.items():
                assert runs[model][f"{metric}_test/{mean}"] == pytest.approx(expected, rel=1e-5)
                assert {f"{metric}_valid/{mean}", f"kept_{metric}/{mean}"} <= runs[model].keys()
    assert not any(name.startswith(("mae", "rmse")) and "tasks." in name for name in runs["mmoe"])


def test_the_report_names_every_task_and_calibrates_those_with_one_probability(
    made: Path, report: dict
) -> None:
    page = (made / "out" / "evaluation" / "report.html").read_text()
    assert [task for task in COLUMNS if f"Task {task}" not in page] == []
    assert {line["task"] for line in report["calibration"]} == {"ctr"}
    assert {gate["task"] for gate in report["gates"]} == COLUMNS.keys()


def test_what_was_learned_beats_the_shares_of_train(made: Path, report: dict) -> None:
    """The entropy of the four reactions, and the least distance that one number of stars has."""
    frame = log()
    test = frame[frame["day"] == "2024-01-04"]
    shares = test["reaction"].value_counts(normalize=True)
    stars = test.loc[test["clicked"] == 1, "stars"].dropna()
    lines = {(m["task"], m["model"]): m for m in report["models"] if m["part"] == "test"}
    assert lines["reaction", "mmoe"]["logloss"] < -(shares * np.log(shares)).sum()
    assert lines["stars", "mmoe"]["mae"] < (stars - stars.median()).abs().mean()
    assert lines["both", "mmoe"]["nrmse"] < 1.0 and lines["watch", "mmoe"]["xauc"] > 0.55


def test_watch_time_by_quantiles_is_scored_where_its_outcome_is_not_known(made: Path) -> None:
    """Its distributions lie in the bundle: rows without an outcome have the scores of valid."""
    folder = made / "out/models/separate/seed-1"
    rows = pd.read_parquet(made / "log" / "2024-01-03.parquet")[["user", "item", "price"]]
    scorer = Scorer.load(folder / "bundle")
    found = scorer.score_frame(rows)["watch"].to_numpy()
    evaluated = pq.read_table(folder / "valid.parquet")["watch"].to_numpy()
    np.testing.assert_allclose(found, evaluated, rtol=1e-4, atol=1e-5)
    kept = scorer.bundle.model.kept["watch"]
    assert kept.knots.shape == (5, 1001) and len(np.unique(kept.edges)) == 3
    unknown = scorer.score_frame(rows.assign(price=None))["watch"].to_numpy()
    assert np.isfinite(unknown).all() and (unknown <= float(kept.knots[4, -1])).all()


def test_a_bundle_bears_the_last_bits_of_another_processor_and_no_more(
    made: Path, tmp_path: Path
) -> None:
    """Watch times by quantiles that differ by a little of the longest, which is much of a short one."""
    bundle = Path(shutil.copytree(made / "out/models/separate/seed-1/bundle", tmp_path / "bundle"))
    table, longest = pq.read_table(bundle / "golden_scores.parquet"), Bundle.load(bundle).model.kept
    place, was = table.column_names.index("watch"), table["watch"].to_numpy()
    for part, borne in ((5e-5, True), (1e-3, False)):
        other = was + part * longest["watch"].knots.max().item()
        assert not np.allclose(was, other, rtol=1e-4, atol=1e-4)
        changed = table.set_column(place, "watch", pa.array(other.astype(np.float32)))
        pq.write_table(changed, bundle / "golden_scores.parquet")
        if borne:
            Bundle.load(bundle)
        else:
            with pytest.raises(RecmtlError, match="scores its golden rows differently"):
                Bundle.load(bundle)


def test_scores_of_parquet_have_a_column_a_task(made: Path, tmp_path: Path) -> None:
    bundle = made / "out/models/mmoe/seed-1/bundle"
    pipeline.score(str(bundle), str(made / "log" / "2024-01-03.parquet"), tmp_path / "scores")
    (file,) = (tmp_path / "scores").rglob("*.parquet")
    table = pq.read_table(file)
    assert table.column_names == ["user", "item", *COLUMNS, "model_version"]
    kinds = {name: str(table.schema.field(name).type) for name in COLUMNS}
    assert kinds == {
        name: f"fixed_size_list<element: float>[{size}]" if size else "float"
        for name, size in COLUMNS.items()
    }
    for name in ("reaction", "stars"):
        np.testing.assert_allclose(np.stack(table[name].to_numpy()).sum(axis=1), 1.0, atol=1e-5)
    evaluated = pq.read_table(made / "out/models/mmoe/seed-1/valid.parquet")
    for name in COLUMNS:
        ours, theirs = (np.stack(t[name].to_numpy()) for t in (table, evaluated))
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_frame_and_mlflow_s_pyfunc_give_the_same_scores(made: Path) -> None:
    import mlflow.pyfunc

    promoted = pipeline.promote(made / "types.toml", made / "out", pipeline.Options(device="cpu"))
    rows = pd.read_parquet(made / "log" / "2024-01-04.parquet").head(20)
    bundle = made / f"out/models/{promoted['model']}/seed-1/bundle"
    frame = Scorer.load(bundle).score_frame(rows)
    model = mlflow.pyfunc.load_model(promoted["uri"])
    outputs = {spec["name"]: spec for spec in model.metadata.signature.outputs.to_dict()}
    assert {n: spec["type"] == "array" for n, spec in outputs.items()} == {
        name: size is not None for name, size in COLUMNS.items()
    }
    found = model.predict(rows[["user", "item", "price"]])
    assert list(found) == list(COLUMNS)
    for name in COLUMNS:
        np.testing.assert_allclose(np.stack(found[name]), np.stack(frame[name]), rtol=1e-5)


def test_a_value_that_is_no_class_ends_with_2(tmp_path: Path) -> None:
    frame = log().reset_index(drop=True)
    frame.loc[3, "reaction"] = "hate"
    config, out = write(tmp_path, frame), tmp_path / "out"
    command = [sys.executable, "-m", "recmtl.cli", "ingest", str(config), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    for word in ("is no class in 1 rows", "hate in row 3", "2024-01-01.parquet", "[labels] reaction"):
        assert word in done.stderr
    assert not (out / "examples").exists()
