"""Runs in a real SQLite store, and without a server."""

import json
import logging
import shutil
import time
from pathlib import Path

import pytest

from recmtl.errors import RecmtlError
from recmtl.tracking import Tracker, replay
from recmtl.tracking.client import TrackedRun
from recmtl.tracking.store import connect

TAGS = {"recmtl.model": "esmm", "recmtl.seed": 1, "recmtl.sweep": "s"}


def start(spool: Path, key: str = "k1") -> TrackedRun:
    return Tracker.open("kuairand", spool).start("esmm-1", key, TAGS, {"train.epochs": 3})


def history(store: str, run: str, metric: str) -> list[tuple[int, float]]:
    return [(m.step, m.value) for m in connect(store).get_metric_history(run, metric)]


def test_a_run_holds_what_it_was_given(store: str, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "weights.safetensors").write_bytes(b"0")
    with start(tmp_path / "spool") as run:
        run.metrics({"auc_valid/ctr": 0.7, "loss_train/ctr": 0.5}, step=1)
        run.metrics({"auc_valid/ctr": 0.75}, step=2)
        run.table([{"task": "ctr", "auc": 0.75}, {"task": "cvr", "auc": float("nan")}])
        run.dict({"name": "kuairand"}, "config/experiment.json")
        run.artifact(bundle, "models")
    assert run.run_id is not None
    assert run.url is not None
    assert run.url.endswith(run.run_id)
    client = connect(store)
    found = client.get_run(run.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params == {"train.epochs": "3"}
    assert found.data.tags["recmtl.model"] == "esmm"
    assert found.data.tags["recmtl.key"] == "k1"
    assert history(store, run.run_id, "auc_valid/ctr") == [(1, 0.7), (2, 0.75)]
    assert {a.path for a in client.list_artifacts(run.run_id)} == {
        "per_task.json", "config", "models"
    }
    assert (tmp_path / "mlartifacts").is_dir()
    assert not (tmp_path / "mlruns").exists()


def test_mlflow_itself_reads_the_table(store: str, tmp_path: Path) -> None:
    run = start(tmp_path / "spool")
    run.table([{"task": "ctr", "auc": 0.75}])
    run.table([{"task": "ctr", "auc": 0.76}])
    client = connect(store)
    assert run.run_id is not None
    experiment = client.get_run(run.run_id).info.experiment_id
    table = client.load_table(experiment, "per_task.json", [run.run_id])
    assert table[["task", "auc"]].to_dict("records") == [{"task": "ctr", "auc": 0.76}]


def test_a_killed_run_is_resumed_by_its_key(store: str, tmp_path: Path) -> None:
    killed = start(tmp_path / "spool")
    killed.metrics({"auc_valid/ctr": 0.7}, step=1)
    again = start(tmp_path / "another")
    assert again.run_id == killed.run_id
    other = start(tmp_path / "spool", key="k2")
    assert other.run_id != killed.run_id
    again.finish()
    client = connect(store)
    assert again.run_id is not None
    assert client.get_run(again.run_id).info.status == "FINISHED"
    experiment = client.get_run(again.run_id).info.experiment_id
    assert len(client.search_runs([experiment])) == 2


def test_an_error_ends_the_run_as_failed_and_an_interrupt_as_killed(
    store: str, tmp_path: Path
) -> None:
    ends = [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")]
    for number, (error, status) in enumerate(ends):
        with pytest.raises(error), start(tmp_path / "spool", key=f"k{number}") as run:
            raise error
        assert run.run_id is not None
        assert connect(store).get_run(run.run_id).info.status == status


def test_a_metric_that_is_not_finite_is_a_tag_and_a_warning(
    store: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = start(tmp_path / "spool")
    with caplog.at_level(logging.WARNING):
        run.metrics({"loss_train/ctr": float("nan"), "auc_valid/ctr": 0.5}, step=4)
    assert "not finite" in caplog.text
    assert run.run_id is not None
    found = connect(store).get_run(run.run_id)
    assert dict(found.data.metrics) == {"auc_valid/ctr": 0.5}
    assert found.data.tags["recmtl.nonfinite/loss_train/ctr"] == "nan at step 4"


def test_what_mlflow_refuses_does_not_hold_up_the_rest(
    store: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = start(tmp_path / "spool")
    run.metrics({"auc,with?illegal=signs": 0.5}, step=1)
    run.artifact(tmp_path / "gone.png")
    run.metrics({"auc_valid/ctr": 0.5}, step=2)
    assert "refuses" in caplog.text
    assert "is gone" in caplog.text
    assert run.run_id is not None
    assert history(store, run.run_id, "auc_valid/ctr") == [(2, 0.5)]


def test_without_a_server_all_is_kept_and_a_replay_sends_it_once(
    store: str, nobody: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", nobody)
    began = time.monotonic()
    with start(tmp_path / "spool") as run:
        for step in range(3):
            run.metrics({"auc_valid/ctr": step / 10}, step=step)
        run.table([{"task": "ctr", "auc": 0.2}])
    assert time.monotonic() - began < 30
    assert run.run_id is None
    assert run.url is None
    assert len([r for r in caplog.records if "did not take" in r.message]) == 1

    assert replay(tmp_path / "spool") == (0, 6)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    assert replay(tmp_path / "spool") == (6, 0)
    assert replay(tmp_path / "spool") == (0, 0)
    client = connect(store)
    sent = client.search_runs([client.get_experiment_by_name("kuairand").experiment_id])
    assert len(sent) == 1
    assert sent[0].info.status == "FINISHED"
    expected = [(0, 0.0), (1, 0.1), (2, 0.2)]
    assert history(store, sent[0].info.run_id, "auc_valid/ctr") == expected

    # A crash between sending and noting it: the same records go out again and change nothing.
    state = tmp_path / "spool" / "k1" / "sent.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "offset": 0}))
    assert replay(tmp_path / "spool") == (6, 0)
    assert history(store, sent[0].info.run_id, "auc_valid/ctr") == expected


def test_the_experiment_follows_mlflows_variable(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "theirs")
    start(tmp_path / "spool").finish()
    assert connect(store).get_experiment_by_name("theirs") is not None
    assert connect(store).get_experiment_by_name("kuairand") is None


def test_an_unusable_address_is_refused(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "ftp://nowhere")
    with pytest.raises(RecmtlError, match="MLFLOW_TRACKING_URI"):
        Tracker.open("kuairand", tmp_path / "spool")


def test_a_resumed_run_gets_no_point_twice(store: str, tmp_path: Path) -> None:
    for _ in range(2):
        with start(tmp_path / "spool") as run:
            run.metrics({"auc_valid/ctr": 0.7}, step=1)
    assert run.run_id is not None
    assert history(store, run.run_id, "auc_valid/ctr") == [(1, 0.7)]


def test_a_store_that_lost_the_run_gets_all_of_it_again(
    store: str, tmp_path: Path, fresh_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with start(tmp_path / "spool") as run:
        run.metrics({"auc_valid/ctr": 0.7}, step=1)
    other = tmp_path / "other.db"
    shutil.copy(fresh_database, other)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other}")
    with start(tmp_path / "spool") as again:
        again.metrics({"auc_test/ctr": 0.6}, step=1)
    assert again.run_id is not None
    assert history(f"sqlite:///{other}", again.run_id, "auc_valid/ctr") == [(1, 0.7)]
    assert history(f"sqlite:///{other}", again.run_id, "auc_test/ctr") == [(1, 0.6)]
