"""A step that reads what another configuration left says so, and which step to type again."""

import shutil
from pathlib import Path

import pytest

from recmtl import pipeline
from recmtl.errors import RecmtlError
from recmtl.pipeline import Options

QUIET = Options(device="cpu", track=False)
ONE = Options(models=["mmoe"], device="cpu", track=False)


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    """A copy of what the steps left."""
    return Path(shutil.copytree(finished / "out", tmp_path / "out"))


def changed(finished: Path, tmp_path: Path, old: str, new: str) -> Path:
    """The shop's file with one text replaced."""
    text = (finished / "shop.toml").read_text()
    assert old in text
    (tmp_path / "changed.toml").write_text(text.replace(old, new))
    return tmp_path / "changed.toml"


def test_everything_is_current_after_a_walk(finished: Path, out: Path) -> None:
    before = {f: f.stat().st_mtime_ns for f in out.rglob("*")}
    for step in (pipeline.ingest, pipeline.encode, pipeline.train, pipeline.evaluate):
        step(finished / "shop.toml", out, QUIET)  # type: ignore[operator]
    assert {f: f.stat().st_mtime_ns for f in out.rglob("*")} == before


@pytest.mark.parametrize("step", [pipeline.encode, pipeline.train, pipeline.evaluate])
def test_another_label_is_ingested_first(finished: Path, tmp_path: Path, out: Path, step: object) -> None:
    other = changed(finished, tmp_path, '"clicked and bought"', '"clicked and not bought"')
    with pytest.raises(RecmtlError, match=r"examples: made from other settings[^$]*recmtl ingest"):
        step(other, out, QUIET)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("old", "new"),
    [('split = { valid = "2024-01-03"', 'split = { start = "2024-01-02", valid = "2024-01-03"'),
     ("[train]", "[embedding]\nwidth = 8\n[train]")],
)
def test_another_split_or_width_is_encoded_first(
    finished: Path, tmp_path: Path, out: Path, old: str, new: str
) -> None:
    other = changed(finished, tmp_path, old, new)
    with pytest.raises(RecmtlError, match=r"shards: made from other settings[^$]*recmtl encode"):
        pipeline.train(other, out, QUIET)


def test_another_schedule_is_trained_first(finished: Path, tmp_path: Path, out: Path) -> None:
    other = changed(finished, tmp_path, "epochs     = 2", "epochs     = 1")
    with pytest.raises(RecmtlError, match=r"seed-1: made from other settings[^$]*recmtl train"):
        pipeline.evaluate(other, out, QUIET)


def test_a_part_of_the_models_is_compared_in_a_folder_of_its_own(finished: Path, out: Path) -> None:
    whole = (out / "evaluation" / "manifest.json").read_text()
    with pytest.raises(RecmtlError, match="no finished folder here"):
        pipeline.promote(finished / "shop.toml", out, ONE)
    report = pipeline.evaluate(finished / "shop.toml", out, ONE)
    assert {line["model"] for line in report["models"]} == set(ONE.models or ())
    assert (out / "evaluation" / "manifest.json").read_text() == whole


def test_only_what_was_compared_is_promoted(finished: Path, tmp_path: Path, out: Path) -> None:
    other = changed(finished, tmp_path, "epochs     = 2", "epochs     = 1")
    pipeline.train(other, out, QUIET)
    with pytest.raises(RecmtlError, match=r"compares other models[^$]*recmtl evaluate"):
        pipeline.promote(other, out, QUIET)


def test_a_model_named_twice_is_compared_once(finished: Path, out: Path) -> None:
    twice = Options(models=["mmoe", "mmoe"], device="cpu", track=False)
    report = pipeline.evaluate(finished / "shop.toml", out, twice)
    assert [line["task"] for line in report["runs"] if line["part"] == "test"] == ["ctr", "cvr", "ctcvr"]
