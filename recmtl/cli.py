"""The command line: the steps of the pipeline by name. Bad input ends with its error and code 2."""

import logging
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from recmtl import pipeline
from recmtl.errors import RecmtlError
from recmtl.progress import terminal

app = typer.Typer(
    help="Multi-objective recommenders from click and conversion logs.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
)

Config = Annotated[Path, typer.Argument(help="the TOML file of the problem")]
Out = Annotated[Path | None, typer.Option("--out", help="output folder; default: runs/NAME")]
Models = Annotated[list[str] | None, typer.Option("--model", help="only this model; may be repeated")]
Seeds = Annotated[list[int] | None, typer.Option("--seed", help="only this seed; may be repeated")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda")]
Track = Annotated[bool, typer.Option("--track/--no-track", help="log to MLflow")]
First = Annotated[str | None, typer.Option("--from", help="first day that may be written: 2026-03-11")]
Last = Annotated[str | None, typer.Option("--to", help="last day that may be written")]
AsOf = Annotated[str | None, typer.Option("--as-of", help="what was known then: 2026-03-11T00:00:00Z")]
Test = Annotated[bool, typer.Option("--test/--no-test", help="read the test rows")]


def main() -> None:
    """Entry point of `recmtl`."""
    logging.basicConfig(format="%(message)s")
    logging.getLogger("recmtl").setLevel(logging.INFO)
    try:
        app()
    except RecmtlError as error:
        print(f"recmtl: {error}", file=sys.stderr)
        sys.exit(2)


@app.command()
def check(config: Config) -> None:
    """Read the file and say what was understood; touches no data."""
    from recmtl.describe import describe

    print(describe(config))


@app.command()
def ingest(
    config: Config, out: Out = None, first: First = None, last: Last = None, as_of: AsOf = None
) -> None:
    """Parquet logs to examples, by day; of days that are as they should be nothing is written again."""
    from recmtl.data.increments.days import Window

    options = pipeline.Options(days=Window.read(first, last), as_of=as_of, progress=terminal())
    print(pipeline.ingest(config, _out(config, out), options))


@app.command()
def encode(config: Config, out: Out = None) -> None:
    """Examples to an encoder, fitted on train, and memory-mapped shards."""
    print(pipeline.encode(config, _out(config, out), pipeline.Options(progress=terminal())))


@app.command()
def train(
    config: Config, out: Out = None, model: Models = None, seed: Seeds = None,
    device: Device = "auto", track: Track = True,
) -> None:
    """Train every model of the file, once a seed."""
    options = pipeline.Options(model, seed, device, track, progress=terminal())
    for folder in pipeline.train(config, _out(config, out), options):
        print(folder)


@app.command()
def evaluate(
    config: Config, out: Out = None, model: Models = None, seed: Seeds = None,
    device: Device = "auto", track: Track = True, test: Test = True,
) -> None:
    """Compare the trained models on valid and, once, on test; write the report."""
    from recmtl.describe import per_task_text

    options = pipeline.Options(model, seed, device, track, test, progress=terminal())
    print(per_task_text(pipeline.evaluate(config, _out(config, out), options)))


@app.command()
def promote(
    config: Config, out: Out = None, model: Models = None, seed: Seeds = None, test: Test = True
) -> None:
    """Register the winner of `evaluate`, on valid, in MLflow as champion."""
    options = pipeline.Options(model, seed, test=test)
    champion = pipeline.promote(config, _out(config, out), options)
    print(f"{champion['uri']} is version {champion['version']}: {champion['model']}")


@app.command()
def score(
    model: Annotated[str, typer.Argument(help="models:/NAME@champion, or the folder of a bundle or run")],
    inputs: Annotated[str, typer.Argument(help="Parquet: a file, a folder or a glob")],
    out: Annotated[Path, typer.Argument(help="folder to write")],
    device: Device = "auto",
    rates: Annotated[
        Path | None, typer.Option("--rates", help="OUT/rates, or a day in it; default: the model's own")
    ] = None,
    root: Annotated[
        Path | None, typer.Option("--root", help="where relative paths of the model's file start")
    ] = None,
    precision: Annotated[
        Literal["fp32", "bf16"], typer.Option("--precision", help="of the layers: bf16 is faster")
    ] = "fp32",
) -> None:
    """Score rows: keys, a probability per task, and the model's version."""
    options = pipeline.Options(
        device=device, rates=rates, root=root, precision=precision, progress=terminal()
    )
    print(pipeline.score(model, inputs, out, options))


@app.command()
def replay(
    spool: Annotated[Path, typer.Argument(help="OUT/tracking, or one run's folder in it")],
) -> None:
    """Send to MLflow what could not be sent while it was away."""
    from recmtl.tracking.client import replay as send

    sent, left = send(spool)
    print(f"{sent} records sent, {left} left")


@app.command()
def demo() -> None:
    """The main job from logs to scores: KuaiRand where RECMTL_DATA has it, else a synthetic log."""
    from recmtl.demo import run_demo

    run_demo(terminal())


def _out(config: Path, out: Path | None) -> Path:
    if out is not None:
        return out
    from recmtl.experiment import Experiment

    return Path("runs") / Experiment.read(config).name


if __name__ == "__main__":
    main()
