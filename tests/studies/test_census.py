"""Both groups of tasks on a few rows of the log: from search to table, and not trained twice."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.studies import census


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


def test_the_study_runs_to_its_lines(few_rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(census, "SHARINGS", {name: census.SHARINGS[name] for name in ("single", "mmoe")})
    out = few_rows / "group-2"
    lines = list(census.study("group-2", out, 2, "test", (0, 4)))
    assert [line[0] for line in lines] == ["logistic regression, one-hot", "single", "mmoe"]
    for line in lines[1:]:
        for cell in line[1:3]:
            best, mean = map(float, cell.split(" / "))
            assert 0.5 < mean <= best < 1
    made = sorted(folder.name for folder in (out / "models" / "mmoe").glob("*/*"))
    assert made.count("seed-1000") == 2
    before = {f: f.stat().st_mtime_ns for f in out.rglob("weights.safetensors")}
    assert list(census.study("group-2", out, 2, "test", (0, 4)))[2][1:4] == lines[2][1:4]
    assert {f: f.stat().st_mtime_ns for f in out.rglob("weights.safetensors")} == before
