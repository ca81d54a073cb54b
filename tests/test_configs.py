"""Every file under configs/ loads, and ingests where its log is there, with the published counts."""

from pathlib import Path

import duckdb
import pytest

from recmtl.data.examples import Examples
from recmtl.data.ingest import ingest
from recmtl.data.selection import select
from recmtl.data.synthetic import generate
from recmtl.experiment import Experiment

CONFIGS = Path(__file__).parent.parent / "configs"
PARTS = ("train", "valid", "test")


def counts(name: str, out: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Rows of each part, and positives of each label over all of them."""
    experiment = Experiment.read(CONFIGS / f"{name}.toml")
    manifest = ingest(experiment, out)
    examples = Examples.open(out)
    split = experiment.data.split
    rows = {
        part: duckdb.sql(f"select count(*) from ({select(examples, split, part)})").fetchall()[0][0]
        for part in PARTS
    }
    positives: dict[str, int] = {}
    for day in manifest["days"].values():
        for label, count in day["labels"].items():
            positives[label] = positives.get(label, 0) + (count.get("positives") or 0)
    return rows, positives


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.toml")), ids=lambda file: file.stem)
def test_loads(file: Path) -> None:
    experiment = Experiment.read(file)
    assert experiment.name == file.stem
    for model in experiment.models.values():
        assert set(model.reports(experiment.tasks)) >= set(model.loss)


def test_synthetic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    truth = generate(tmp_path / "log", 5_000, seed=1)
    monkeypatch.setenv("RECMTL_SYNTHETIC", str(tmp_path / "log"))
    rows, positives = counts("synthetic", tmp_path / "examples")
    assert rows == {"train": 4_000, "valid": 500, "test": 500}
    assert positives["clicked"] == truth["counts"]["clicks"]
    assert positives["converted"] == truth["counts"]["conversions"]


def test_census_income(logs: Path, tmp_path: Path) -> None:
    rows, positives = counts("census_income", tmp_path)
    assert rows["train"] == 199_523
    assert rows["valid"] + rows["test"] == 99_762
    assert rows["valid"] == pytest.approx(99_762 / 2, rel=0.02)
    assert positives == {"rich": 12_382 + 6_186, "never_married": 86_485 + 43_143}


def test_taobao(logs: Path, tmp_path: Path) -> None:
    rows, positives = counts("taobao", tmp_path)
    assert sum(rows.values()) == 873_954
    assert rows["test"] == pytest.approx(87_395, rel=0.02)
    assert set(positives) == {"carted", "bought"}


def test_hillstrom(logs: Path, tmp_path: Path) -> None:
    rows, positives = counts("hillstrom", tmp_path)
    assert sum(rows.values()) == 64_000
    assert positives["visited"] == 9_394
    assert positives["converted"] == 578


def test_kuairand(logs: Path, tmp_path: Path) -> None:
    rows, positives = counts("kuairand", tmp_path)
    assert sum(rows.values()) == 171_671
    assert positives["converted"] < positives["click"]
