"""What becomes of CVR and CTCVR when labels are taken before their windows are over, in four ways.

    python benchmarks/maturity.py OUT [--rows 400000] [--seed 7] [--as-of 2026-03-10T00:00:00Z]

OUT holds the synthetic log as three logs, made where it is missing, and examples of it. A model that is
calibrated on its labels predicts their mean; the table shows that mean over the planted probability.
"""

import argparse
from datetime import datetime
from pathlib import Path

import polars as pl

from recmtl.data.ingest import ingest
from recmtl.data.synthetic import generate
from recmtl.progress import terminal
from recmtl.schema import Problem
from recmtl.schema.events import horizon

WINDOW = "7 days 1 hour"  # the longest delay is seven days: no conversion comes later


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--as-of", default="2026-03-10T00:00:00Z")
    options = parser.parse_args()
    log = options.out / f"log-{options.rows}-{options.seed}"
    if not log.exists():
        generate(log, options.rows, options.seed, "logs", terminal())
    rows = labelled(log, options.out / "examples", options.as_of)
    truth = planted(log)
    print(f"{rows.height:,} impressions, {rows['clicked'].sum():,} of them clicked; "
          f"{mean(rows['open']):.0%} younger than {WINDOW}\n")
    print("| conversions of young impressions | CVR | CTCVR | labels kept |\n|---|---|---|---|")
    for name, label in treatments().items():
        kept = rows.with_columns(label=label).drop_nulls("label")
        cvr = mean(kept.filter(clicked=1)["label"]) / truth["cvr"]
        ctcvr = mean(kept["label"]) / truth["ctcvr"]
        print(f"| {name} | {cvr:.2f} | {ctcvr:.2f} | {kept.height / rows.height:.0%} |")


def labelled(log: Path, examples: Path, as_of: str) -> pl.DataFrame:
    """A row an impression that lay there at `as_of`: what had come of it, its age, recmtl's label."""
    made = problem(log, as_of)
    ingest(made, examples)
    ours = pl.read_parquet(examples / "*" / "*.parquet").select("impression_id", "_time", "converted")
    now = datetime.fromisoformat(as_of).replace(tzinfo=None)
    seen = {
        name: pl.read_parquet(log / name / "*.parquet").filter(
            pl.from_epoch("time_ms", time_unit="ms") <= now)["impression_id"]
        for name in ("clicks", "conversions")
    }
    return ours.with_columns(
        clicked=pl.col("impression_id").is_in(seen["clicks"].implode()).cast(int),
        arrived=pl.col("impression_id").is_in(seen["conversions"].implode()).cast(int),
        open=pl.col("_time") + pl.duration(seconds=horizon("conversion", made.data.events)) > now,
    )


def treatments() -> dict[str, pl.Expr]:
    """The label of a conversion in each way; null is masked."""
    open_click = pl.col("open") & (pl.col("clicked") == 1)
    return {
        "count as 0 until they arrive": pl.col("arrived"),
        "masked where clicked and not yet converted":
            pl.when(~(open_click & (pl.col("arrived") == 0))).then("arrived"),
        "masked where clicked": pl.when(~open_click).then("arrived"),
        "masked for every row (recmtl)": pl.col("converted"),
    }


def planted(log: Path) -> dict[str, float]:
    """The mean probability on each task's label space, over the whole log."""
    truth = pl.read_parquet(log / "truth" / "*.parquet")
    clicks = pl.read_parquet(log / "clicks" / "*.parquet")["impression_id"].implode()
    clicked = truth.filter(pl.col("impression_id").is_in(clicks))
    return {
        "cvr": mean(clicked["p_conversion_given_click"]),
        "ctcvr": mean(truth["p_click_and_conversion"]),
    }


def mean(values: pl.Series) -> float:
    found = values.mean()
    assert isinstance(found, float), "of no value, or of values that are no numbers"
    return found


def problem(log: Path, as_of: str) -> Problem:
    event = {"time": "time_ms", "unit": "ms", "on": "impression_id"}
    files = {name: str(log.absolute() / name / "*.parquet")
             for name in ("impressions", "clicks", "conversions")}
    return Problem.model_validate({
        "name": "maturity",
        "data": {
            "impressions": {"path": files["impressions"], "id": "impression_id", "time": "time_ms",
                            "unit": "ms", "zone": "UTC"},
            "as_of": as_of, "split": {"valid": "2026-03-09", "test": "2026-03-10"},
            "events": {
                "click": {**event, "path": files["clicks"], "window": "1 minute"},
                "conversion": {**event, "path": files["conversions"], "of": "click", "window": WINDOW},
            },
        },
        "labels": {"clicked": "click", "converted": "click and conversion"},
        "features": {"item_id": {"kind": "categorical"}}, "tasks": {"ctr": {"label": "clicked"}},
    })


if __name__ == "__main__":
    main()
