"""One model of an experiment with one seed: from shards to a finished folder.

The folder holds the bundle, a drawing of the model, the scores of valid, the epochs, and what the
gates did.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from recmtl.data.encoding import starts
from recmtl.data.examples import Examples
from recmtl.data.loader import Loader
from recmtl.data.shards import Shards
from recmtl.errors import RecmtlError
from recmtl.evaluate.gates import gate_heat_map
from recmtl.experiment import Experiment
from recmtl.folder import digest, file_digest, is_current, locked, read_manifest, write_folder
from recmtl.heads import head_of
from recmtl.heads.columns import column_of, scores_of
from recmtl.kernels import engine
from recmtl.learn.epoch import Epoch
from recmtl.learn.fit import Parts, fit
from recmtl.learn.group import Group, join
from recmtl.learn.predict import Predictions, predict
from recmtl.learn.resume import Checkpoints
from recmtl.learn.sharded.tables import ShardedTables
from recmtl.learn.step import Objective
from recmtl.learn.tasks import keep, statistics
from recmtl.learn.turns import InTurns, take_turns
from recmtl.memory import give_freed_memory_back
from recmtl.model.drawing import draw
from recmtl.model.embedding import MakeTables, WholeTables
from recmtl.model.multitask import MultiTask, build_model, parameter_count
from recmtl.page import save_figure
from recmtl.progress import SILENT, Progress
from recmtl.schema.contract import Contract
from recmtl.seed import seed_everything, sums_in_order

DRAWING = "model.svg"
EVALUATED = 2048  # rows at a time at least, however small a training batch is


@dataclass(frozen=True)
class Prepared:
    """The folders that every run reads."""

    examples: Path
    encoder: Path
    shards: Path

    @property
    def digest(self) -> str:
        """Of the data: changes when a source file, a feature, a label or the split changes."""
        return str(read_manifest(self.shards)["key"])


@dataclass(frozen=True)
class Run:
    """Which model, which seed, where. Its key says what it was made from."""

    experiment: Experiment
    model: str
    seed: int
    folder: Path

    def key(self, data: str) -> str:
        """Changes with what this run depends on, and not with the other models of the file."""
        own = self.experiment.model_copy(
            update={
                "data": self.experiment.data.model_copy(update={"memory_limit": None, "spill": None}),
                "contract": Contract(),
                "models": {self.model: self.experiment.models[self.model]},
                "train": self.experiment.train.model_copy(
                    update={"seeds": (self.seed,), "checkpoint_steps": 1}
                ),
            }
        )
        return digest({"experiment": own.digest, "data": data})

    @property
    def title(self) -> str:
        return f"{self.model} seed {self.seed}"

    @property
    def bundle(self) -> Path:
        return self.folder / "bundle"

    @property
    def evaluated(self) -> int:
        """Rows of a batch that is scored: half a step's, as scores are fp32 where steps may be bf16."""
        return max(self.experiment.train.batch_size // 2, EVALUATED)

    @property
    def checkpoints(self) -> Path:
        """What a run that is killed leaves, so that the next one of its key goes on from there."""
        return self.folder.with_name(f".{self.folder.name}.resume")


def pick_device(name: str) -> str:
    """`auto` is CUDA where there is a GPU. Raises RecmtlError for a device that is not there."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()):
        raise RecmtlError("no such device", where="--device", expected="auto, cpu, cuda or cuda:N",
                          found=name)
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise RecmtlError("no such CUDA device is visible to torch", where="--device", found=name)
    return name


def train_run(
    run: Run, prepared: Prepared, device: str, listen: Callable[[Epoch], None],
    progress: Progress = SILENT,
) -> None:
    """Train and write the run's folder; does nothing where it is already made from the same inputs.

    In a group of processes (torchrun) all call this; the first writes and listens.
    """
    key, group = run.key(prepared.digest), join(device)
    training = _Training(run, prepared, device, group)
    if device.startswith("cuda:"):
        torch.cuda.set_device(device)
    with sums_in_order(run.experiment.train.deterministic and device.startswith("cuda")):
        if not group.first:
            if group.agreed(False):
                training.train(lambda epoch: None, SILENT)
            return
        with locked(run.folder):
            if group.agreed(not is_current(run.folder, key)):
                training.write(listen, progress)


@dataclass(frozen=True)
class _Training:
    """One process's part in the training of a run."""

    run: Run
    prepared: Prepared
    device: str
    group: Group

    def write(self, listen: Callable[[Epoch], None], progress: Progress) -> None:
        """Train, and write the run's folder: what the first process does."""
        run, prepared = self.run, self.prepared
        manifest: dict[str, Any] = {
            "key": run.key(prepared.digest), "model": run.model, "seed": run.seed, "epochs": [],
            "device": self.device, "kernels": engine(self.device),
        }

        def heard(epoch: Epoch) -> None:
            manifest["epochs"].append(epoch.to_json())
            listen(epoch)

        with write_folder(run.folder, manifest) as folder:
            try:
                model, predictions = self.train(heard, progress, folder)
                manifest["parameters"] = parameter_count(model)
                del model  # its weights are in the file that the bundle is made from
            finally:
                give_freed_memory_back()
            save_predictions(predictions, folder, "valid", run.title)
            _save_bundle(run, self._keep().best, prepared, folder)
        shutil.rmtree(run.checkpoints)

    def train(
        self, listen: Callable[[Epoch], None], progress: Progress, folder: Path | None = None
    ) -> tuple[MultiTask, Predictions]:
        """The model with its best weights, and what it predicts on valid; all of a group do this.

        The model is drawn into the `folder` before it is trained: a part that cannot be says so at once.
        """
        run, group, settings = self.run, self.group, self.run.experiment.train
        train, valid = (Shards.open(self.prepared.shards / part) for part in ("train", "valid"))
        model, objective = _model(run, train, self._make_tables())
        for start in starts.load(self.prepared.encoder):
            rows, values = torch.from_numpy(start.rows), torch.from_numpy(start.values)
            model.embedding.start(rows, values, start.frozen)
        if folder:
            (folder / DRAWING).write_text(draw(model, run.model))
        model.to(self.device)
        if not group.first:
            seed_everything(run.seed, "dropout", group.rank)  # each drops other units of other rows
        share = (group.rank, group.size)
        every = Loader(train, settings.batch_size, seed=run.seed, device=self.device, part=share)
        parts = Parts(
            InTurns([every.only(turn.places) for turn in objective.turns]) if objective.turns else every,
            Loader(valid, run.evaluated, device=self.device, part=share),
            _labels(valid), group, valid.together,
        )
        for epoch in fit(model, parts, objective, settings, self._keep(), progress):
            listen(epoch)
        return model, predict(model, parts.valid, progress, group)

    def _keep(self) -> Checkpoints:
        run = self.run
        every = run.experiment.train.checkpoint_steps
        return Checkpoints(run.checkpoints, run.key(self.prepared.digest), every)

    def _make_tables(self) -> MakeTables:
        settings = self.run.experiment.train
        if not settings.sharded_tables or self.group.size == 1:
            return WholeTables
        return partial(ShardedTables, config=settings, device=self.device)


def _model(
    run: Run, train: Shards, make_tables: MakeTables = WholeTables
) -> tuple[MultiTask, Objective]:
    """A fresh model and what it minimises; both read each task's statistics on train."""
    experiment, config = run.experiment, run.experiment.models[run.model]
    labels = _labels(train)
    known = statistics(experiment.tasks, labels, train.weight)
    heads = {task: head_of(experiment.tasks[task], loss) for task, loss in config.loss.items()}
    known = keep(known, heads, labels, train.layout, train.dense)
    turns = take_turns(config.turns, experiment.tasks, labels)
    seed_everything(run.seed, "model", run.model)
    model = build_model(
        config, experiment.embedding, train.layout, experiment.tasks, known, make_tables
    )
    return model, Objective(
        experiment.tasks, config.loss, known, config.weighting, config.freeze, turns
    )


def _labels(shards: Shards) -> dict[str, np.ndarray]:
    return {name: np.asarray(shards.labels(name)) for name in shards.layout.labels}


def evaluate_run(run: Run, prepared: Prepared, device: str, out: Path, progress: Progress) -> None:
    """Score the test rows with a finished run, into `out` (an existing folder)."""
    from recmtl.bundle import Bundle  # has an encoder and so SQL: a fit holds neither

    test = Shards.open(prepared.shards / "test")
    bundle = Bundle.load(run.bundle, device)
    predictions = predict(
        bundle.model, Loader(test, run.evaluated, device=device), progress
    )
    save_predictions(predictions, out, "test", run.title)


def save_predictions(predictions: Predictions, folder: Path, part: str, title: str) -> None:
    """Scores as Parquet, gates as JSON and, where there are any, as a heat map."""
    columns = {task: column_of(scores) for task, scores in predictions.scores.items()}
    pq.write_table(pa.table(columns), folder / f"{part}.parquet")
    gates = {task: summary.to_json() for task, summary in predictions.gates.items()}
    (folder / f"{part}_gates.json").write_text(json.dumps(gates))
    if gates:
        figure = gate_heat_map(predictions.gates, f"{title}: gates on {part}")
        save_figure(figure, folder / f"{part}_gates.png")


def load_scores(folder: Path, part: str) -> dict[str, np.ndarray]:
    """task → scores of a part, (N,) or (N, C), in the order of its shards."""
    table = pq.read_table(folder / f"{part}.parquet")
    return {name: scores_of(table[name]) for name in table.column_names}


def _save_bundle(run: Run, weights: Path, prepared: Prepared, folder: Path) -> None:
    """Write the bundle with golden rows from valid: rows that no weight was fitted to."""
    # SQL and what encodes take memory that a fit has no use for: they are loaded after it.
    from recmtl.bundle import GOLDEN_ROWS, Bundle, stored_model
    from recmtl.data.duck import connect
    from recmtl.data.encoder import Encoder
    from recmtl.data.selection import select

    experiment, encoder = run.experiment, Encoder.load(prepared.encoder)
    model = stored_model(experiment, run.model, encoder, weights)
    bundle = Bundle(experiment, run.model, run.seed, encoder, model)
    examples = Examples.open(prepared.examples)
    query = select(examples, experiment.data.split, "valid", list(encoder.columns))
    with connect() as connection:
        golden = connection.sql(f"{query} LIMIT {GOLDEN_ROWS}").to_arrow_table()
    manifest: dict[str, Any] = {"model": run.model, "seed": run.seed}
    with write_folder(folder / "bundle", manifest) as made:
        bundle.save(made, golden)
        if examples.rated(encoder.columns):
            examples.rates.save_last(made / "rates")
        # Scores are stamped with the manifest's digest: other weights may have files of the same size.
        manifest["weights"] = file_digest(made / "weights.safetensors")
