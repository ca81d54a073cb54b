"""Two processes that train together, for real: the curve of one with the doubled batch, and a kill."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from recmtl import pipeline
from recmtl.errors import RecmtlError
from recmtl.experiment import Experiment
from recmtl.folder import read_manifest
from recmtl.launch import launch, speaks
from recmtl.learn import resume
from recmtl.learn.group import Group
from recmtl.learn.resume import Checkpoints
from recmtl.learn.sharded import scattered
from recmtl.pipeline import Options
from tests import tiny_shop

QUIET = Options(models=["mmoe"], seeds=[1], device="cpu", track=False)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Encoded, and its file in three forms: one process with 512 rows, two with 256, and long.

    The model's weights between tasks are learned, so that the loss has a penalty besides.
    """
    folder = tmp_path_factory.mktemp("shop")
    text = tiny_shop.write(folder).read_text().replace("epochs     = 2", "epochs = 3\npatience = 3")
    text = text.replace("[models.mmoe]", '[models.mmoe]\nweighting = { kind = "uncertainty" }')
    whole = text.replace("batch_size = 256", "batch_size = 512")
    (folder / "one.toml").write_text(whole)
    (folder / "two.toml").write_text(text.replace("[train]", "[train]\nprocesses = 2"))
    for step in (pipeline.ingest, pipeline.encode):
        step(folder / "one.toml", folder / "one", QUIET)
    for name in ("two", "killed"):
        tiny_shop.beside(folder / "one", name)
    return folder


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_two_processes_have_the_curve_of_one_with_the_doubled_batch(shop: Path) -> None:
    (one,) = pipeline.train(shop / "one.toml", shop / "one", QUIET)
    (two,) = pipeline.train(shop / "two.toml", shop / "two", QUIET)
    curves = [read_manifest(folder)["epochs"] for folder in (one, two)]
    assert len(curves[0]) == len(curves[1]) == 3
    for alone, together in zip(*curves, strict=True):
        for name, value in alone["metrics"].items():
            slack = 1e-3 if name.startswith("auc") else 1e-4  # rounding turns a pair of near ties round
            assert together["metrics"][name] == pytest.approx(value, rel=slack, abs=slack), name
        assert together["gates"]["ctr"]["rows"] == alone["gates"]["ctr"]["rows"]
        assert together["gates"]["ctr"]["mean"] == pytest.approx(alone["gates"]["ctr"]["mean"], abs=1e-4)
    weights = [load_file(folder / "bundle" / "weights.safetensors") for folder in (one, two)]
    for name, tensor in weights[0].items():
        np.testing.assert_allclose(weights[1][name], tensor, rtol=1e-3, atol=1e-3, err_msg=name)
    again = pipeline.train(shop / "two.toml", shop / "two", QUIET)  # is there already
    assert again == [two]


def trainers(parent: int) -> list[int]:
    """The processes that a launcher has started, the first of the group first."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # one that is gone by now
            fields, command = stat.read_text().split(), (stat.parent / "cmdline").read_text()
            if int(fields[3]) == parent and "multiprocessing.spawn" in command:
                found.append(int(fields[0]))
    return sorted(found)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc, to find the processes")
def test_a_killed_process_ends_the_run_with_an_error_and_the_next_one_goes_on(shop: Path) -> None:
    """On a file so long that the kill falls into its steps."""
    text = (shop / "two.toml").read_text()
    long = text.replace("epochs = 3\npatience = 3", "epochs = 400\npatience = 400\ncheckpoint_steps = 1")
    (shop / "long.toml").write_text(long)
    command = [sys.executable, "-m", "recmtl.cli", "train", str(shop / "long.toml"), "--out",
               str(shop / "two"), "--model", "esmm", "--no-track", "--device", "cpu"]
    run = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    checkpoint = shop / "two" / "models" / "esmm" / ".seed-1.resume" / "checkpoint"
    while not (checkpoint / "manifest.json").exists():
        assert run.poll() is None, run.communicate()
        time.sleep(0.05)
    os.kill(trainers(run.pid)[1], signal.SIGKILL)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 2
    assert "goes on from the last checkpoint" in said and "killed by signal 9" in said
    assert not (shop / "two" / "models" / "esmm" / "seed-1").exists()
    standing = read_manifest(checkpoint)["standing"]
    assert (standing["epoch"], standing["steps"]) > (1, 0)


def train_until_killed(config: Path, out: Path, steps: int) -> None:
    """Train with a checkpoint a step; the second process is killed after so many, before the next."""
    resume.COST = float("inf")
    scattered.BLOCK_ROWS = 16  # sharded tables are written in several blocks
    due, taken = Checkpoints.due, [0]

    def counted(keep: Checkpoints, *group: Group) -> bool:
        taken[0] += 1
        if os.environ["RANK"] == "1" and taken[0] == steps:
            os.kill(os.getpid(), signal.SIGKILL)
        return due(keep, *group)

    Checkpoints.due = counted  # type: ignore[method-assign, assignment]
    pipeline.train(config, out, QUIET)


def assert_resumes(config: Path, out: Path, steps: int, whole: Path) -> None:
    """Killed in this step of epoch 2, it goes on from the one before, to the run that was not killed."""
    with pytest.raises(RecmtlError, match="killed by signal 9") as error:
        launch(partial(train_until_killed, config, out, steps), 2, out)
    assert "goes on from the last checkpoint" in str(error.value)
    run = out / "models" / "mmoe"
    standing = read_manifest(run / ".seed-1.resume" / "checkpoint")["standing"]
    assert (standing["epoch"], standing["steps"]) == (2, 1)
    assert not (run / "seed-1").exists()
    (resumed,) = pipeline.train(config, out, QUIET)
    weights = [load_file(folder / "bundle" / "weights.safetensors") for folder in (whole, resumed)]
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])
    curves = [[e["metrics"] for e in read_manifest(folder)["epochs"]] for folder in (whole, resumed)]
    assert curves[0] == curves[1]


def test_after_a_kill_the_processes_go_on_to_the_same_weights(shop: Path) -> None:
    text = (shop / "two.toml").read_text()
    config = shop / "often.toml"
    config.write_text(text.replace("[train]", "[train]\ncheckpoint_steps = 1"))
    (whole,) = pipeline.train(shop / "two.toml", shop / "two", QUIET)
    assert_resumes(config, shop / "killed", 4, whole)  # of two steps an epoch


def fail(error: Exception) -> None:
    raise error


def test_bad_input_in_a_process_is_the_runs_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RecmtlError, match="mend what it says above"):
        launch(partial(fail, RecmtlError("no such thing", where="here")), 2, "there")
    assert "no such thing" in capfd.readouterr().err


def test_the_number_of_processes_is_part_of_what_a_run_is(shop: Path) -> None:
    one, two = (Experiment.read(shop / f"{name}.toml") for name in ("one", "two"))
    assert two.train.processes == 2 and one.train.processes == 1
    assert one.digest != two.digest


@pytest.mark.parametrize(("rank", "first"), [(None, True), ("0", True), ("1", False)])
def test_of_several_processes_the_first_speaks(
    rank: str | None, first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    assert speaks() is first
