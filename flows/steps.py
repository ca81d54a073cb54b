"""The pipeline's steps as Prefect tasks: texts and small records in and out, never frames.

None is cached by Prefect: each step knows from its output's manifest whether it is current.
"""

from pathlib import Path
from typing import Any, Literal

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from recmtl import pipeline
from recmtl.data.increments.days import Window
from recmtl.experiment import Experiment

from .report import show, show_champion

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["fp32", "bf16"]


def folder_of(config: str, out: str | None) -> Path:
    """Where a problem's outputs go: `out`, else `runs/` and the problem's name."""
    return Path(out) if out else Path("runs") / Experiment.read(config).name


def known_at(config: str) -> str | None:
    """What a run by schedule knows: what was known when it was to start, however late it did."""
    return pipeline.known_at(Path(config), flow_run.scheduled_start_time)


@task(name="ingest", cache_policy=NO_CACHE)
def ingest(
    config: str, out: Path, as_of: str | None = None, first: str | None = None, last: str | None = None
) -> Path:
    """Logs to examples, a row an impression."""
    options = pipeline.Options(as_of=as_of, days=Window.read(first, last))
    return pipeline.ingest(Path(config), out, options)


@task(name="encode", cache_policy=NO_CACHE)
def encode(config: str, out: Path) -> Path:
    """Examples to shards; vocabularies and statistics from the train part alone."""
    return pipeline.encode(Path(config), out)


@task(name="train", cache_policy=NO_CACHE)
def train(config: str, out: Path, device: Device) -> list[Path]:
    """Every model and seed of the file, on the same shards."""
    return pipeline.train(Path(config), out, pipeline.Options(device=device))


@task(name="evaluate", cache_policy=NO_CACHE)
def evaluate(config: str, out: Path, device: Device) -> dict[str, Any]:
    """The models compared per task; the table, the summary and the links as artifacts."""
    report = pipeline.evaluate(Path(config), out, pipeline.Options(device=device))
    show(report)
    return report


@task(name="promote", cache_policy=NO_CACHE)
def promote(config: str, out: Path, report: dict[str, Any]) -> str:
    """Register the winner as the champion; the address that loads it."""
    champion = pipeline.promote(Path(config), out)
    show_champion(champion, report)
    return str(champion["uri"])


@task(name="score", cache_policy=NO_CACHE)
def score(
    model: str, inputs: str, out: Path, device: Device, rates: str | None = None,
    root: str | None = None, precision: Precision = "fp32",
) -> Path:
    """A score per task for every input row."""
    options = pipeline.Options(device=device, rates=rates, root=root, precision=precision)
    return pipeline.score(model, inputs, out, options)
