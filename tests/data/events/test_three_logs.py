"""Logs whose events lie apart give the labels of the same log as one table, row for row."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recmtl.data.examples import Examples
from recmtl.data.ingest import ingest
from recmtl.data.synthetic import generate
from recmtl.experiment import Experiment
from recmtl.schema import Data
from tests.data.made_log import rows

CONFIGS = Path(__file__).parent.parent.parent.parent / "configs"
FAR = "2100-01-01T00:00:00Z"  # everything is mature


def with_data(experiment: Experiment, outcomes: list[str], **data: Any) -> Experiment:
    """The experiment over other logs."""
    old = experiment.data.model_dump()
    old["impressions"] |= {"path": data.pop("path")}
    new = Data.model_validate({**old, "outcomes": outcomes, **data})
    return experiment.model_copy(update={"data": new})


def test_the_synthetic_log_in_both_forms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for form in ("table", "logs"):
        generate(tmp_path / form, 5000, 3, form)  # type: ignore[arg-type]
    monkeypatch.setenv("RECMTL_SYNTHETIC", str(tmp_path / "table"))
    table = Experiment.read(CONFIGS / "synthetic.toml")
    event = {"time": "time_ms", "unit": "ms", "on": "impression_id"}
    logs = with_data(table, [], path=str(tmp_path / "logs/impressions/*.parquet"), as_of=FAR, events={
        "click": {**event, "path": str(tmp_path / "logs/clicks/*.parquet"), "window": "1 minute"},
        "conversion": {**event, "path": str(tmp_path / "logs/conversions/*.parquet"), "of": "click",
                       "window": "8 days"},
    })
    ingest(table, tmp_path / "a")
    manifest = ingest(logs, tmp_path / "b")
    assert not manifest["warnings"]
    assert Examples.open(tmp_path / "a").columns == Examples.open(tmp_path / "b").columns
    assert rows(tmp_path / "a") == rows(tmp_path / "b")
    for counts in manifest["events"].values():
        assert counts["rows"] == counts["credited"] > 500


def test_kuairand_as_three_logs(logs: Path, tmp_path: Path) -> None:
    """Clicks and, of them, long views: by the file and row that they were on, some of them twice."""
    table = Experiment.read(CONFIGS / "kuairand.toml")
    (tmp_path / "log").mkdir()
    found = sorted((logs / "kuairand_pure" / "log").glob("*.parquet"))
    for file in found:
        whole = pl.read_parquet(file).with_row_index("number").with_columns(
            pl.format("{}:{}", pl.lit(file.name), "number").alias("shown"))
        shown = whole.drop("number", "is_click", "long_view")
        shown.write_parquet(tmp_path / "log" / file.name)
        clicked = whole.filter(is_click=1).select("shown", pl.col("time_ms") + 1)
        clicked.sample(fraction=1, shuffle=True, seed=1).write_parquet(tmp_path / f"click-{file.name}")
        viewed = whole.filter(long_view=1).select("shown", pl.col("time_ms") + 20_000)
        pl.concat([viewed, viewed.head(10)]).write_parquet(tmp_path / f"view-{file.name}")
    event = {"time": "time_ms", "unit": "ms", "on": "shown"}
    outcomes = [c for c in table.data.outcomes if c not in ("is_click", "long_view")]
    three = with_data(
        table, ["shown", *outcomes], path=str(tmp_path / "log" / "*.parquet"), as_of=FAR, events={
            "is_click": {**event, "path": str(tmp_path / "click-*.parquet"), "window": "1 second"},
            "long_view": {**event, "path": str(tmp_path / "view-*.parquet"), "of": "is_click",
                          "id": "shown", "window": "1 minute"},
        })
    ingest(table, tmp_path / "a")
    manifest = ingest(three, tmp_path / "b")
    assert rows(tmp_path / "a") == rows(tmp_path / "b")
    assert manifest["events"]["long_view"]["repeated"] == 10 * len(found)
    assert manifest["events"]["long_view"]["orphans"] > 0  # long views of what was not clicked
