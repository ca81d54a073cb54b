"""Both groups of tasks on a few rows of the log: from search to table, and not trained twice."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.studies import census
from recmtl.current import open_prepared


@pytest.fixture
def few_rows(logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the first rows of the log's two files."""
    (tmp_path / "census_income").mkdir()
    for name, rows in (("train", 3000), ("test", 3000)):
        whole = pq.read_table(logs / "census_income" / f"{name}.parquet")
        pq.write_table(whole.slice(0, rows), tmp_path / "census_income" / f"{name}.parquet")
    monkeypatch.setenv("RECMTL_DATA", str(tmp_path))
    return tmp_path


def test_college_is_associates_degree_and_above_and_no_task_is_an_input(logs: Path) -> None:
    education = pq.read_table(logs / "census_income" / "train.parquet")["education"].to_pylist()
    assert set(census.COLLEGE) < set(education)
    assert sum(level in census.COLLEGE for level in education) == 39_183  # counted by hand
    for group in census.GROUPS:
        config = census.experiment(group, census.SETTINGS[0])
        assert not {"education", "marital_stat", "income_50k"} & set(config.features)
        assert list(config.tasks) == [*census.GROUPS[group], census.MARRIED]
        assert set(config.models) == set(census.SHARINGS)


def test_the_study_runs_to_its_tables(few_rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(census, "SHARINGS", {name: census.SHARINGS[name] for name in ("single", "mmoe")})
    out, parts = few_rows / "group-2", ("valid", "test")
    found = dict(census.study("group-2", out, 2, parts, (0, 4)))
    assert list(found) == ["single", "mmoe"]
    made = sorted(folder.name for folder in (out / "models" / "mmoe").glob("*/*"))
    assert made.count("seed-1000") == 2
    before = {f: f.stat().st_mtime_ns for f in out.rglob("weights.safetensors")}
    again = dict(census.study("group-2", out, 2, parts, (0, 4)))
    assert {f: f.stat().st_mtime_ns for f in out.rglob("weights.safetensors")} == before
    prepared = open_prepared(census.experiment("group-2", census.SETTINGS[0]), out)
    base = {part: census.one_hot(prepared, part, "group-2") for part in parts}
    text = census.tables(found, base)
    assert census.tables(again, base) == text
    assert all(0.5 < auc < 1 for regression in base.values() for auc in regression.values())
    for part, lines in zip(parts, text.split("\n\n"), strict=True):
        head, _, regression, single, mmoe = (line.strip("| ").split(" | ") for line in lines.splitlines())
        assert head[1:3] == ["education: best", "education: mean"]
        assert regression[0] == "logistic regression" and (single[0], mmoe[0]) == ("single", "mmoe")
        ours, alone = (found[name].aucs[part]["education"] for name in ("mmoe", "single"))
        assert ours.shape == (2,) and ours.min() > 0.5 and ours.max() < 1
        assert mmoe[1] == f"{ours.max():.4f}"
        assert mmoe[2].startswith(f"{ours.mean():.4f} (")
        assert mmoe[3].startswith(f"{ours.mean() - alone.mean():+.4f} (")
