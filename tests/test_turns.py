"""A log of two sources whose tasks take turns, from the file to its bundle; and what a kill leaves."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from recmtl import pipeline
from recmtl import run as runs
from recmtl.batch import Batch
from recmtl.current import open_prepared
from recmtl.experiment import Experiment
from recmtl.folder import read_manifest
from recmtl.learn import resume
from recmtl.learn.turns import InTurns
from recmtl.pipeline import Options
from recmtl.run import Run, train_run
from tests import tiny_shop

QUIET = Options(models=["mmoe"], device="cpu", track=False)


class Killed(BaseException):
    """What an interrupt is: no Exception."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Encoded: a third of the rows know how long they were watched, the others of clicks."""
    folder = tmp_path_factory.mktemp("shop")
    frame = tiny_shop.log().astype({"clicked": float, "bought": float, "seconds": float})
    panel = np.arange(len(frame)) % 3 == 0
    frame.loc[panel, ["clicked", "bought"]] = np.nan
    frame.loc[~panel, "seconds"] = np.nan
    text = tiny_shop.write(folder, frame).read_text()
    text = text.replace("[labels]", '[labels]\nwatched = "seconds"')
    text = text.replace("[tasks]", '[tasks]\nwatch = { label = "watched", type = "regression" }')
    before, after = text.split("[models.mmoe]")
    turns = 'turns = [["ctr", "ctcvr"], ["watch"]]'
    after = after.replace("ctcvr = 1.0 }", f"ctcvr = 1.0, watch = 1.0 }}\n{turns}")
    (folder / "shop.toml").write_text(f"{before}[models.mmoe]{after}checkpoint_steps = 1\n")
    for step in (pipeline.ingest, pipeline.encode):
        step(folder / "shop.toml", folder / "out", QUIET)
    return folder


def test_each_batch_is_of_one_source_and_each_row_comes_once_an_epoch(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Batch] = []

    class Seen(InTurns):
        def batches(self, epoch: int = 0, skip: int = 0) -> Iterator[Batch]:
            for batch in super().batches(epoch, skip):
                seen.append(batch)
                yield batch

    monkeypatch.setattr(runs, "InTurns", Seen)
    (folder,) = pipeline.train(shop / "shop.toml", shop / "out", QUIET)
    assert [batch.turn for batch in seen] == 2 * [0, 1, 0, 1, 0]  # of 533 and 267 rows in batches of 256
    assert [len(batch) for batch in seen[:5]] == [256, 256, 256, 11, 21]
    for batch in seen:
        clicked, watched = (~batch.labels[name].isnan() for name in ("click", "watched"))
        own, other = (watched, clicked) if batch.turn else (clicked, watched)
        assert own.all() and not other.any()
    for epoch in (seen[:5], seen[5:]):
        assert len(torch.cat([batch.origin for batch in epoch]).unique(dim=0)) == 800
    epochs = read_manifest(folder)["epochs"]
    assert {"loss_train/ctr", "loss_train/ctcvr", "loss_train/watch"} <= epochs[0]["metrics"].keys()
    assert "rmse_valid/watch" in epochs[0]["metrics"] and (folder / "bundle").is_dir()


def test_killed_between_two_turns_it_goes_on_to_the_same_bytes(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = Experiment.read(shop / "shop.toml")
    prepared = open_prepared(experiment, shop / "out")
    whole, killed = (Run(experiment, "mmoe", 1, tmp_path / name) for name in ("whole", "killed"))
    train_run(whole, prepared, "cpu", lambda epoch: None)
    monkeypatch.setattr(resume, "COST", float("inf"))
    given, batches = [0], InTurns.batches

    def load(self: InTurns, epoch: int = 0, skip: int = 0) -> Iterator[Batch]:
        for batch in batches(self, epoch, skip):
            if given[0] == 7:
                raise Killed
            given[0] += 1
            yield batch

    with monkeypatch.context() as patched:
        patched.setattr(InTurns, "batches", load)
        with pytest.raises(Killed):
            train_run(killed, prepared, "cpu", lambda epoch: None)
    standing = read_manifest(killed.checkpoints / "checkpoint")["standing"]
    assert (standing["epoch"], standing["steps"], standing["counts"]["watch"]) == (2, 2, 1)
    train_run(killed, prepared, "cpu", lambda epoch: None)
    weights = [made.bundle / "weights.safetensors" for made in (whole, killed)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
