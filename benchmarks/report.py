"""Measured figures in, docs/benchmarks.md out: with the machine, the versions and the day."""

import platform
import statistics
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path

OWN, CUT, CUT_WIDE, OWN_WIDE = (
    "torch-rechub 0.9.0, its own loader",
    "torch-rechub 0.9.0, batches cut for it",
    "torch-rechub 0.9.0, cut, 1M users declared",
    "torch-rechub 0.9.0, its own loader, 1M users declared",
)
TITLES = {"mmoe": "MMoE", "shared_bottom": "Shared-Bottom", "esmm": "ESMM"}
LIBRARIES = ("torch", "duckdb", "pyarrow", "numpy", "polars")


def write_report(
    file: Path, steps: Mapping[str, Mapping[str, float]], profile: str,
    rates: Mapping[str, Mapping[str, Sequence[float]]],
) -> None:
    """Write the page. `steps` has seconds, rows, peak_bytes a step; `rates` rows/s a block, by model."""
    parts = [
        "# Speed and memory on W1",
        "`make bench` writes this page. W1: 2M impressions of 1M users in 10 Parquet files, 16 "
        "categorical columns, 8 floats with nulls, two list columns; click 5 %, conversion 8 % of "
        "clicks. MMoE: 4 experts of 256-128, towers 64-32; Shared-Bottom: 256-128, towers 64-32; ESMM: "
        "towers 256-128-64. Embedding 16, batch 4096, one epoch.",
        machine(),
        "## Each step, all columns, lists included",
        step_table(steps),
        "Seconds are those of the whole step in a process of its own, libraries and files included; "
        "the rate of training is that of the loop. Scoring reads all ten files.",
        f"AUC on valid after the epoch: click {steps['train']['auc_valid_ctr']:.4f}, click and "
        f"conversion {steps['train']['auc_valid_ctcvr']:.4f}.",
        "## Training on W1a (no lists), in turns with torch-rechub",
        *(part for model, found in rates.items() for part in (f"### {TITLES[model]}", race_table(found))),
        "All processes live at once and train block by block in turns; a ratio is the median (least to "
        "most) over the blocks, each divided by the peer's block of the same turn. Bare rates depend on "
        "what else the machine does: compare the ratios. The peer's Adam touches every row of every "
        "table at each step, so that its rate falls as tables grow. Here it has its own loader, as its "
        "documentation trains (what a user gets); with batches cut for it from arrays in memory (its "
        "best case: recmtl's rate includes its own loader, from shards on disk); each also with a table "
        "of the million users that the log's source has rather than of those that occur on train. Its "
        "ESMM reads no numbers, and so has the smaller products of the two.",
        "## One training step, profiled (W1, fp32)",
        profile.strip(),
    ]
    file.write_text("\n\n".join(parts) + "\n")


def step_table(steps: Mapping[str, Mapping[str, float]]) -> str:
    lines = ["| step | rows | seconds | rows/s | peak memory MB |", "|---|---|---|---|---|"]
    for name, found in steps.items():
        rate = found["rows"] / found.get("loop_seconds", found["seconds"])
        lines.append(
            f"| {name} | {found['rows']:,.0f} | {found['seconds']:.1f} | {rate:,.0f} "
            f"| {found['peak_bytes'] / 1e6:,.0f} |"
        )
    return "\n".join(lines)


def race_table(rates: Mapping[str, Sequence[float]]) -> str:
    peers = [name for name in rates if not name.startswith("recmtl")]
    lines = ["| | rows/s, median | ms a step | " + " | ".join(f"ratio to {p}" for p in peers) + " |",
             "|---|---|---|" + "---|" * len(peers)]
    for name, found in rates.items():
        middle = statistics.median(found)
        ratios = " | ".join(ratio(found, rates[peer]) for peer in peers)
        lines.append(f"| {name} | {middle:,.0f} | {4096 / middle * 1e3:.0f} | {ratios} |")
    return "\n".join(lines)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Median, least and most over the blocks of the same turn."""
    found = [a / b for a, b in zip(ours, theirs, strict=True)]
    return f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"


def machine() -> str:
    import torch

    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        f"{date.today():%d %B %Y}. {processor()}, {torch.get_num_threads()} threads, no GPU. "
        f"Python {platform.python_version()}, {versions}."
    )


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} × {names[0]}" if names else platform.processor()
