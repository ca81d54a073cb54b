"""The steps of the main job as plain functions: a configuration and a folder in, folders out.

OUT/examples → OUT/encoder, OUT/shards → OUT/models/MODEL/seed-N → OUT/evaluation → MLflow → scores
"""

import glob
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from recmtl.data.examples import Examples
from recmtl.data.increments.days import EVERY_DAY, Window
from recmtl.errors import RecmtlError, nearest
from recmtl.experiment import Experiment
from recmtl.folder import digest, is_current, locked, read_manifest, write_folder
from recmtl.memory import trim
from recmtl.progress import SILENT, Progress

if TYPE_CHECKING:
    from recmtl.learn.epoch import Epoch
    from recmtl.run import Prepared, Run
    from recmtl.scoring import Scorer
    from recmtl.tracking.client import Tracker

_log = logging.getLogger("recmtl")


@dataclass(frozen=True)
class Options:
    """What may be chosen at a call, beside the file: none of it changes what a run is."""

    models: Sequence[str] | None = None  # default: all of the file
    seeds: Sequence[int] | None = None  # default: train.seeds
    device: str = "auto"
    track: bool = True  # in MLflow
    test: bool = True  # evaluate: read the test rows
    days: Window = EVERY_DAY  # ingest: those that may be written
    as_of: str | None = None  # ingest: what was known then; default: the file's
    rates: str | Path | None = None  # score: OUT/rates, or a day's folder in it; default: the model's
    root: str | Path | None = None  # score: where relative paths of the model's file start
    precision: Literal["fp32", "bf16"] = "fp32"  # score: of the layers; logits are fp32
    progress: Progress = SILENT

    @property
    def partial(self) -> bool:
        """Whether only some of the file's models or seeds are meant."""
        return bool(self.models or self.seeds)


DEFAULTS = Options()
Config = str | Path | Experiment  # a configuration's file, or what was read from it


def ingest(config: Config, out: Path, options: Options = DEFAULTS) -> Path:
    """Parquet logs → OUT/examples: joined, labelled, by day; OUT/rates; and OUT/contract: the report.

    Raises RecmtlError where the contract has errors, once its report is written.
    """
    from recmtl.data import contract  # SQL, which training does without
    from recmtl.data import ingest as ingesting
    from recmtl.data.rates.write import write_rates

    experiment = _experiment(config).known_at(options.as_of)
    manifest = ingesting.ingest(experiment, out / "examples", options.progress, options.days)
    _warn(manifest["warnings"])
    write_rates(experiment, Examples.open(out / "examples"), out / "rates", options.progress)
    report = contract.check(experiment, out / "examples", out / "contract")
    _log.info("contract: %s: %s", contract.levels_text(report), out / "contract" / contract.PAGE)
    return out / "examples"


def known_at(config: Config, moment: datetime) -> str | None:
    """The `as_of` of a run at `moment`: that time if the file has events and says none."""
    data = _experiment(config).data
    return moment.isoformat() if data.events and data.as_of is None else None


def encode(config: Config, out: Path, options: Options = DEFAULTS) -> Path:
    """OUT/examples → OUT/encoder (fitted on train) and OUT/shards."""
    from recmtl.current import encoder_key, open_examples
    from recmtl.data.encoder import Encoder
    from recmtl.data.sharding import write_shards

    experiment = _experiment(config)
    examples = open_examples(experiment, out)
    key = encoder_key(experiment, examples)
    with locked(out / "encoder"):
        if not is_current(out / "encoder", key):
            with write_folder(out / "encoder", {"key": key}) as folder:
                width = experiment.embedding.width
                Encoder.fit(experiment, examples, width, options.progress).save(folder)
            trim()  # what was counted lies in files now; to look it up takes as much again
    encoder = Encoder.load(out / "encoder")
    _warn(encoder.warnings)
    seed = experiment.train.seeds[0]
    write_shards(experiment, examples, encoder, out / "shards", seed, options.progress)
    return out / "shards"


def train(config: Config, out: Path, options: Options = DEFAULTS) -> list[Path]:
    """OUT/shards → OUT/models/MODEL/seed-N for every model and seed; finished ones are kept."""
    from recmtl.current import open_prepared
    from recmtl.launch import device_of_process, launch, several
    from recmtl.run import pick_device, train_run

    experiment = _experiment(config)
    runs, prepared = _runs(experiment, out, options), open_prepared(experiment, out)
    device = pick_device(options.device)
    if several(experiment):
        launch(partial(train, experiment, out, options), experiment.train.processes, out)
        return [run.folder for run in runs]
    for run in runs:
        with _listening(run, prepared, out, options) as listen:
            train_run(run, prepared, device_of_process(device), listen, options.progress)
    return [run.folder for run in runs]


def evaluate(config: Config, out: Path, options: Options = DEFAULTS) -> dict[str, Any]:
    """Finished runs → OUT/evaluation: comparison on valid and test, report.html and report.json.

    The test rows are scored once for a configuration and its data; a second call reads the first's.
    A part of the models or seeds is compared in a folder of its own and not shown in MLflow, where
    it would take the place of the whole comparison.
    """
    from recmtl.current import check_trained, evaluation_key, open_prepared
    from recmtl.evaluate.report import write_report
    from recmtl.gather import gather
    from recmtl.run import evaluate_run, pick_device

    experiment = _experiment(config)
    runs, prepared = _runs(experiment, out, options), open_prepared(experiment, out)
    check_trained(runs, prepared)
    target, key = _evaluation(out, options), evaluation_key(runs, prepared, options.test)
    with locked(target):
        if not is_current(target, key):
            with write_folder(target, {"key": key}) as folder:
                scored = [folder / "scores" / run.model / f"seed-{run.seed}" for run in runs]
                for run, where in zip(runs, scored, strict=True) if options.test else ():
                    where.mkdir(parents=True)
                    evaluate_run(run, prepared, pick_device(options.device), where, options.progress)
                parts = {"valid": [run.folder for run in runs]}
                parts |= {"test": scored} if options.test else {}
                write_report(folder, gather(experiment, runs, prepared, parts))  # type: ignore[arg-type]
    report: dict[str, Any] = json.loads((target / "report.json").read_text())
    if options.track and not options.partial:
        from recmtl.tracking.journal import log_evaluation

        report["run_urls"] = log_evaluation(_tracker(experiment, out), runs, prepared.digest, target)
    return report


def promote(config: Config, out: Path, options: Options = DEFAULTS) -> dict[str, Any]:
    """Register the run that wins on valid in MLflow under the experiment's name, as `champion`.

    Raises RecmtlError where the evaluation compares other models, or these as they were before.
    """
    from recmtl.current import check_trained, evaluation_key, open_prepared
    from recmtl.tracking.journal import promote_run

    experiment, target = _experiment(config), _evaluation(out, options)
    read_manifest(target)
    runs, prepared = _runs(experiment, out, options), open_prepared(experiment, out)
    check_trained(runs, prepared)
    if not is_current(target, evaluation_key(runs, prepared, options.test)):
        raise RecmtlError(
            "compares other models, or these as they were before", where=target,
            fix="run `recmtl evaluate` again, with the same --model and --seed",
        )
    winner = json.loads((target / "report.json").read_text())["champion"]
    run = next(r for r in runs if (r.model, r.seed) == (winner["model"], winner["seed"]))
    version = promote_run(_tracker(experiment, out), run, prepared.digest)
    return {**winner, "name": experiment.name, "version": version.number,
            "uri": f"models:/{experiment.name}@champion"}


def score(model: str, inputs: str, out: Path, options: Options = DEFAULTS) -> Path:
    """Score Parquet files (a file, a folder or a glob) with `models:/NAME@champion` or a bundle."""
    from recmtl.scoring import score_files

    files = find_parquet(inputs)
    return score_files(load_scorer(model, options), files, out, options.progress)


def load_scorer(model: str, options: Options = DEFAULTS) -> "Scorer":
    """The scorer of `models:/NAME@champion`, of a bundle's folder or of its run's, with its version.

    Raises RecmtlError where there is no such model, or no such folder as `options.root`.
    """
    from recmtl.run import pick_device
    from recmtl.scoring import Scorer

    root, rates = (None if p is None else Path(p) for p in (options.root, options.rates))
    if root is not None and not root.is_dir():
        raise RecmtlError("is no folder", where=f"root {root}", expected="where the model's file lay")
    folder, version = _fetch(model)
    scorer = Scorer.load(folder, pick_device(options.device), version, root, rates)
    return replace(scorer, bundle=scorer.bundle.in_bf16()) if options.precision == "bf16" else scorer


def _experiment(config: Config) -> Experiment:
    return config if isinstance(config, Experiment) else Experiment.read(config)


def _fetch(model: str) -> tuple[Path, str]:
    if not model.startswith("models:/"):  # a folder needs no MLflow
        folder = _bundle(Path(model))
        return folder, f"{folder.absolute().name}@{digest(read_manifest(folder))}"
    from recmtl.tracking.registry import fetch

    return fetch(model)


def _bundle(folder: Path) -> Path:
    """A bundle's folder, or that in a run's. Raises RecmtlError where bundles lie further down."""
    if (folder / "bundle").is_dir():
        return folder / "bundle"
    below = [found for depth in ("*", "*/*", "*/*/*") for found in sorted(folder.glob(f"{depth}/bundle"))]
    if below:
        raise RecmtlError(
            "is the folder of no model", where=folder, expected="a bundle's folder, or that of its run",
            found=f"{len(below)} bundles below it", fix=f"give its bundle folder: {below[0]}",
        )
    return folder


def find_parquet(inputs: str) -> list[Path]:
    pattern = f"{glob.escape(inputs)}/**/*.parquet" if Path(inputs).is_dir() else inputs
    found = sorted(Path(p) for p in glob.glob(pattern, recursive=True))
    if not found:
        raise RecmtlError("no Parquet file here", where=inputs, fix="give a file, a folder or a glob")
    return found


def _evaluation(out: Path, options: Options) -> Path:
    name = "evaluation" if options.test else "validation"
    chosen = digest([options.models, options.seeds])
    return out / (f"{name}-{chosen}" if options.partial else name)


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        _log.warning("warning: %s", warning)


def _runs(experiment: Experiment, out: Path, options: Options) -> list["Run"]:
    from recmtl.run import Run

    for name in options.models or ():
        if name not in experiment.models:
            raise RecmtlError(f"no model {name!r}", where="--model",
                              fix=nearest(name, experiment.models))
    return [
        Run(experiment, model, seed, out / "models" / model / f"seed-{seed}")
        for model in dict.fromkeys(options.models or experiment.models)
        for seed in dict.fromkeys(options.seeds or experiment.train.seeds)
    ]


def _tracker(experiment: Experiment, out: Path) -> "Tracker":
    from recmtl.tracking.client import Tracker

    return Tracker.open(experiment.name, out / "tracking")


def _listening(
    run: "Run", prepared: "Prepared", out: Path, options: Options
) -> AbstractContextManager[Callable[["Epoch"], None]]:
    """A context that gives the function to call with each epoch."""
    from recmtl.launch import speaks

    if not options.track or not speaks():
        return nullcontext(lambda epoch: None)
    from recmtl.tracking.journal import listening

    return listening(_tracker(run.experiment, out), run, prepared.digest)
