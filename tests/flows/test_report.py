"""The texts that the flows show."""

from pathlib import Path

from flows.report import summary
from flows.steps import folder_of
from tests.tracking.tiny import write_problem

REPORT = {
    "name": "tiny", "monitor": "auc_valid/ctcvr", "models": [],
    "champion": {"model": "esmm", "seed": 2},
    "run_urls": {"esmm seed 2": "http://127.0.0.1:5000/#/experiments/1/runs/a"},
    "warnings": ["expert 1 is dead"],
}


def test_the_summary_names_the_winner_links_the_runs_and_warns() -> None:
    assert summary(REPORT).splitlines() == [
        "**Best on auc_valid/ctcvr:** esmm, seed 2",
        "",
        "- [esmm seed 2](http://127.0.0.1:5000/#/experiments/1/runs/a)",
        "",
        "- Warning: expert 1 is dead",
    ]


def test_outputs_go_under_runs_by_the_problems_name_unless_told_otherwise(tmp_path: Path) -> None:
    config = str(write_problem(tmp_path, rows=8).rename(tmp_path / "another.toml"))
    assert folder_of(config, None) == Path("runs/tiny")
    assert folder_of(config, "/elsewhere") == Path("/elsewhere")
