"""A run is done once, all or nothing, and the same inputs give the same bytes."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from recmtl.batch import Batch
from recmtl.bundle import Bundle
from recmtl.data.loader import Loader
from recmtl.data.shards import Shards
from recmtl.errors import RecmtlError
from recmtl.experiment import Experiment
from recmtl.folder import is_current, read_manifest
from recmtl.learn import resume
from recmtl.learn.epoch import Epoch
from recmtl.learn.predict import predict
from recmtl.run import Prepared, Run, load_scores, pick_device, train_run


class Killed(BaseException):
    """What an interrupt is: no Exception."""


def prepared(finished: Path) -> Prepared:
    out = finished / "out"
    return Prepared(out / "examples", out / "encoder", out / "shards")


def run(finished: Path, folder: Path, model: str = "mmoe", seed: int = 1) -> Run:
    return Run(Experiment.read(finished / "shop.toml"), model, seed, folder)


def ignore(epoch: Epoch) -> None:
    """Nobody listens."""


def weights(folder: Path) -> bytes:
    return (folder / "bundle" / "weights.safetensors").read_bytes()


@pytest.mark.parametrize("model", ["esmm", "mmoe"])
def test_equal_inputs_give_equal_bytes(finished: Path, tmp_path: Path, model: str) -> None:
    train_run(run(finished, tmp_path / "a", model), prepared(finished), "cpu", ignore)
    assert weights(tmp_path / "a") == weights(finished / "out" / "models" / model / "seed-1")
    first, second = ((f / "valid.parquet").read_bytes()
                     for f in (tmp_path / "a", finished / "out/models" / model / "seed-1"))
    assert first == second
    drawing = (tmp_path / "a" / "model.svg").read_bytes()
    assert drawing == (finished / "out/models" / model / "seed-1" / "model.svg").read_bytes()


@pytest.mark.parametrize("parts", [
    {"sharing": {"kind": "cgc"}}, {"sharing": {"kind": "stem"}}, {"sharing": {"kind": "home"}},
    {"interaction": {"kind": "fm"}, "pooling": {"recent": {"target": "item"}}},
    {"interaction": {"kind": "dcn_v2"}, "tables": "per_task"},
], ids=str)
def test_what_a_part_keeps_beside_its_weights_is_in_its_bundle(
    finished: Path, tmp_path: Path, parts: dict[str, object]
) -> None:
    content = Experiment.read(finished / "shop.toml").model_dump(mode="json")
    content["models"]["mmoe"] |= parts
    made = Run(Experiment.parse(content, finished), "mmoe", 1, tmp_path / "run")
    train_run(made, prepared(finished), "cpu", ignore)
    valid = Shards.open(prepared(finished).shards / "valid")
    scored = predict(Bundle.load(made.bundle).model, Loader(valid, 4096)).scores
    for task, scores in load_scores(made.folder, "valid").items():
        np.testing.assert_allclose(scored[task], scores, rtol=1e-5)


def test_another_seed_gives_other_weights(finished: Path, tmp_path: Path) -> None:
    train_run(run(finished, tmp_path / "b", seed=2), prepared(finished), "cpu", ignore)
    assert weights(tmp_path / "b") != weights(finished / "out/models/mmoe/seed-1")


def test_a_finished_run_is_not_done_again(finished: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished / "out/models/mmoe/seed-1", tmp_path / "run"))
    before = {f: f.stat().st_mtime_ns for f in folder.rglob("*")}
    heard: list[Epoch] = []
    train_run(run(finished, folder), prepared(finished), "cpu", heard.append)
    assert heard == []
    assert {f: f.stat().st_mtime_ns for f in folder.rglob("*")} == before


def test_a_changed_setting_is_trained_anew(finished: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished / "out/models/mmoe/seed-1", tmp_path / "run"))
    changed = run(finished, folder)
    train = changed.experiment.train.model_copy(update={"epochs": 1})
    changed = Run(changed.experiment.model_copy(update={"train": train}), "mmoe", 1, folder)
    heard: list[Epoch] = []
    train_run(changed, prepared(finished), "cpu", heard.append)
    assert [epoch.number for epoch in heard] == [1]
    assert weights(folder) != weights(finished / "out/models/mmoe/seed-1")


def test_a_killed_run_leaves_nothing_and_is_done_by_the_next(finished: Path, tmp_path: Path) -> None:
    made = run(finished, tmp_path / "run")

    def kill(epoch: Epoch) -> None:
        raise Killed

    with pytest.raises(Killed):
        train_run(made, prepared(finished), "cpu", kill)
    assert {file.name for file in tmp_path.iterdir()} == {".run.lock", made.checkpoints.name}
    train_run(made, prepared(finished), "cpu", ignore)
    assert is_current(made.folder, made.key(prepared(finished).digest))
    assert {file.name for file in tmp_path.iterdir()} == {".run.lock", "run"}
    assert weights(made.folder) == weights(finished / "out/models/mmoe/seed-1")


def test_a_killed_run_goes_on_from_its_checkpoint(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = run(finished, tmp_path / "run")
    train = made.experiment.train.model_copy(update={"checkpoint_steps": 2, "epochs": 2})
    made = Run(made.experiment.model_copy(update={"train": train}), "mmoe", 1, made.folder)
    undisturbed = Run(made.experiment, "mmoe", 1, tmp_path / "other")
    train_run(undisturbed, prepared(finished), "cpu", ignore)
    monkeypatch.setattr(resume, "COST", float("inf"))
    taken: list[int] = []

    def load(self: Loader, epoch: int = 0, skip: int = 0) -> Iterator[Batch]:
        for batch in whole(self, epoch, skip):
            taken.append(len(batch))
            if len(taken) == 5:
                raise Killed
            yield batch

    whole = Loader.batches
    monkeypatch.setattr(Loader, "batches", load)
    with pytest.raises(Killed):
        train_run(made, prepared(finished), "cpu", ignore)
    assert read_manifest(made.checkpoints / "checkpoint")["standing"]["steps"] == 4
    heard: list[Epoch] = []
    train_run(made, prepared(finished), "cpu", heard.append)
    assert weights(made.folder) == weights(undisturbed.folder)
    assert [epoch.number for epoch in heard] == [1, 2]
    assert not made.checkpoints.exists()


def test_a_runs_key_knows_its_own_model_alone(finished: Path, tmp_path: Path) -> None:
    own = run(finished, tmp_path)
    alone = {"mmoe": own.experiment.models["mmoe"]}
    other = Run(own.experiment.model_copy(update={"models": alone}), "mmoe", 1, tmp_path)
    assert own.key("data") == other.key("data")
    assert own.key("data") != own.key("other data")
    assert own.key("data") != run(finished, tmp_path, "esmm").key("data")


def test_auto_is_cuda_where_torch_sees_it() -> None:
    import torch

    assert pick_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["nonsense", "cpu:x", "CUDA", "", "cuda:99"])
def test_a_device_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(RecmtlError, match="--device"):
        pick_device(name)


def test_other_weights_are_stamped_otherwise(finished: Path, tmp_path: Path) -> None:
    """Files of equal sizes do not make an equal model."""
    other = run(finished, tmp_path / "run")
    train = other.experiment.train.model_copy(update={"learning_rate": 0.002})
    other = Run(other.experiment.model_copy(update={"train": train}), "mmoe", 1, tmp_path / "run")
    train_run(other, prepared(finished), "cpu", ignore)
    first, second = (
        read_manifest(f / "bundle") for f in (finished / "out/models/mmoe/seed-1", other.folder)
    )
    size = "weights.safetensors"
    assert first["files"][size] == second["files"][size]
    assert first["weights"] != second["weights"]
