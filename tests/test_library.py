"""What a notebook uses: frames in and out, nothing loaded before it is needed."""

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import recmtl
from tests import tiny_shop

BUNDLE = Path("out/models/mmoe/seed-1/bundle")


def test_importing_recmtl_loads_nothing_heavy() -> None:
    code = """
import sys, recmtl
assert {"fit", "load", "score", "per_task", "ingest", "Experiment"} <= set(dir(recmtl))
print({"torch", "mlflow", "prefect", "duckdb", "pandas", "pyarrow", "numpy"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("set()", "")


@pytest.mark.parametrize("name", [*recmtl.__all__])
def test_every_name_is_there_after_everything_was_used(finished: Path, name: str) -> None:
    assert callable(getattr(recmtl, name))


def test_an_unknown_name_is_no_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'fti'"):
        recmtl.fti  # noqa: B018


def test_a_frame_is_scored_into_a_frame(finished: Path) -> None:
    raw = pd.read_parquet(finished / "log" / "2024-01-03.parquet")
    scores = recmtl.score(recmtl.load(finished / BUNDLE), raw)
    assert scores.index.equals(raw.index)
    assert scores["model_version"].str.startswith("bundle@").all()
    by_path = recmtl.score(str(finished / BUNDLE), raw)
    pd.testing.assert_frame_equal(scores, by_path)


def test_files_are_scored_into_a_folder(finished: Path, tmp_path: Path) -> None:
    out = recmtl.score(finished / BUNDLE, finished / "log", tmp_path / "scores")
    found = [len(pd.read_parquet(file)) for file in sorted(out.glob("*.parquet"))]
    assert found == [400, 400, 400, 400]


@pytest.mark.parametrize("rows", ["a frame", "files"])
def test_out_belongs_to_files_alone(finished: Path, rows: str, tmp_path: Path) -> None:
    with pytest.raises(recmtl.RecmtlError, match=r"into a frame|into a folder"):
        if rows == "files":
            recmtl.score(finished / BUNDLE, finished / "log")  # type: ignore[call-overload]
        else:
            recmtl.score(finished / BUNDLE, tiny_shop.log(8), tmp_path)  # type: ignore[call-overload]
    assert not list(tmp_path.iterdir())


def test_fitting_a_frame_gives_the_winner_and_the_report(finished: Path, tmp_path: Path) -> None:
    frame = tiny_shop.log()
    config = tomllib.loads((finished / "shop.toml").read_text())
    del config["data"]["impressions"]["path"]
    scorer, report = recmtl.fit(frame, config, tmp_path / "out")
    winner = report["champion"]
    assert scorer.bundle.model_name == winner["model"]
    valid = frame[frame["day"] == "2024-01-03"]
    run = tmp_path / "out" / "models" / winner["model"] / f"seed-{winner['seed']}"
    expected = pd.read_parquet(run / "valid.parquet")
    scores = recmtl.score(scorer, valid)
    np.testing.assert_allclose(scores[expected.columns], expected, rtol=0, atol=1e-6)


def test_fitting_takes_a_file_whose_paths_stay_its_own(finished: Path, tmp_path: Path) -> None:
    text = (finished / "shop.toml").read_text().replace(f"{finished}/users", "users")
    (tmp_path / "shop.toml").write_text(text)
    tiny_shop.users().to_parquet(tmp_path / "users.parquet")
    frame = tiny_shop.log()
    options = recmtl.Options(models=["esmm"], track=False, test=False)
    scorer, report = recmtl.fit(frame, tmp_path / "shop.toml", tmp_path / "out", options)
    assert {line["part"] for line in report["models"]} == {"valid"}
    assert len(recmtl.score(scorer, frame.head(5))) == 5


def test_a_frame_that_parquet_cannot_hold_is_refused(finished: Path, tmp_path: Path) -> None:
    frame = tiny_shop.log(8).assign(brand=[1, *["x"] * 7])
    with pytest.raises(recmtl.RecmtlError, match="brand"):
        recmtl.fit(frame, finished / "shop.toml", tmp_path / "out")
    assert not (tmp_path / "out" / "log").exists()


def test_the_per_task_table_has_a_row_a_part_task_and_model(finished: Path) -> None:
    config, out = finished / "shop.toml", finished / "out"
    report = recmtl.compare(config, out, recmtl.Options(track=False))  # read, not made again
    means, runs = recmtl.per_task(report), recmtl.per_task(report, runs=True)
    assert len(means) == 2 * 3 * 2
    assert set(means["model"]) == {"esmm", "mmoe"} and set(means["task"]) == {"ctr", "cvr", "ctcvr"}
    both = means.merge(runs, on=["part", "task", "model"])
    np.testing.assert_allclose(both["auc_x"], both["auc_y"])  # one seed: its mean is itself
