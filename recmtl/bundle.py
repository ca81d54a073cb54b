"""A trained model as one folder: configuration, encoder, weights and golden rows; no pickle in it.

Golden rows are inputs with the scores that the model gave when it was saved. Loading scores them
again, so that a bundle that would score differently here is refused rather than used.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from recmtl.batch import Batch, Ragged
from recmtl.data.encoder import Encoded, Encoder
from recmtl.errors import RecmtlError
from recmtl.experiment import Experiment
from recmtl.folder import read_manifest
from recmtl.heads import head_of
from recmtl.heads.columns import column_of, scores_of
from recmtl.learn.checkpoint import map_weights, save_weights
from recmtl.model.embedding import unfilled_tables
from recmtl.model.multitask import MultiTask, build_model
from recmtl.plugins import Package, missing, needed

GOLDEN_ROWS = 64
TOLERANCE = 1e-4  # another processor sums in another order; a wrong table is off by far more


@dataclass(frozen=True)
class Bundle:
    """What scoring needs: which model of which experiment, its encoder, and its weights.

    With `half` it scores under autocast to bf16.
    """

    experiment: Experiment
    model_name: str
    seed: int
    encoder: Encoder
    model: MultiTask
    half: bool = False

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that it scores."""
        return tuple(self.experiment.models[self.model_name].reports(self.experiment.tasks))

    @property
    def columns(self) -> dict[str, int | None]:
        """Each of these tasks, and how many numbers its score has; None is one."""
        return {task: head_of(self.experiment.tasks[task]).columns for task in self.tasks}

    def save(self, folder: Path, golden: pa.Table) -> None:
        """Write into an existing folder; `golden` holds rows of the encoder's input columns."""
        description: dict[str, object] = {
            "experiment": json.loads(self.experiment.model_dump_json()),
            "model": self.model_name,
            "seed": self.seed,
        }
        packages = needed(self.experiment)
        if packages:
            description["packages"] = [vars(package) for package in packages]
        (folder / "experiment.json").write_text(json.dumps(description, indent=1))
        (folder / "encoder").mkdir()
        self.encoder.save(folder / "encoder")
        save_weights(self.model, folder / "weights.safetensors")
        golden = golden.select(list(self.encoder.columns)).slice(0, GOLDEN_ROWS)
        pq.write_table(golden, folder / "golden_rows.parquet")
        scores = {task: column_of(found) for task, found in self.score(golden).items()}
        pq.write_table(pa.table(scores), folder / "golden_scores.parquet")

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> "Bundle":
        """Read and prove a bundle. Raises RecmtlError where it is not whole or scores differently."""
        folder = Path(folder)
        read_manifest(folder)
        try:
            description = json.loads((folder / "experiment.json").read_text())
            name, seed = str(description["model"]), int(description["seed"])
            content = dict(description["experiment"])
            packages = [Package(**package) for package in description.get("packages", ())]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RecmtlError(f"no readable experiment.json: {error!r}", where=folder) from error
        _check_packages(packages, folder)
        experiment = Experiment.parse(content, folder, str(folder))
        if name not in experiment.models:
            raise RecmtlError(f"experiment.json has no model {name!r}", where=folder)
        encoder = Encoder.load(folder / "encoder")
        model = stored_model(experiment, name, encoder, folder / "weights.safetensors")
        bundle = cls(experiment, name, seed, encoder, model)
        bundle._prove(folder)
        bundle.model.to(device)
        return bundle

    def in_bf16(self) -> "Bundle":
        """The same with its layers in bf16."""
        return replace(self, model=self.model.with_bf16_layers(), half=True)

    @torch.inference_mode()
    def score(self, table: pa.Table) -> dict[str, np.ndarray]:
        """Score rows of the encoder's columns: task → (N,) or (N, C) float32."""
        self.model.eval()
        device = next(self.model.parameters()).device
        batch = to_batch(self.encoder.encode(table)).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.half):
            output = self.model(batch)
        scores = self.model.scores(output, batch)
        return {task: scores[task].float().cpu().numpy() for task in self.tasks}

    def _prove(self, folder: Path) -> None:
        try:
            rows, expected = (pq.read_table(folder / f"golden_{n}.parquet") for n in ("rows", "scores"))
        except (OSError, pa.ArrowException) as error:
            raise RecmtlError(f"unreadable golden rows: {error}", where=folder) from error
        for task, scores in self.score(rows).items():
            if task not in expected.column_names or len(expected) != len(scores):
                raise RecmtlError(f"the golden rows do not fit task {task!r}", where=folder)
            head = self.model.heads[task]
            was, scores = head.steady(scores_of(expected[task])), head.steady(scores)
            if was.shape != scores.shape or not np.allclose(was, scores, rtol=TOLERANCE, atol=TOLERANCE):
                row, *_ = np.unravel_index(np.argmax(np.abs(was - scores)), scores.shape)
                raise RecmtlError(
                    f"task {task!r} scores its golden rows differently", where=folder,
                    expected=f"{_shown(was[row])} at row {row}", found=_shown(scores[row]),
                    fix="the folder was changed, or another version of recmtl wrote it"
                    f"{_others(self.experiment, folder)}: train again",
                )


def _shown(score: np.ndarray) -> str:
    return ", ".join(f"{number:.6f}" for number in np.atleast_1d(score))


def _check_packages(packages: Sequence[Package], folder: Path) -> None:
    for package in packages:
        if missing(package):
            raise RecmtlError(
                "the model has parts of a package that is not installed here", where=folder,
                expected=package.told, fix=f"pip install {package.package}=={package.version}",
            )


def _others(experiment: Experiment, folder: Path) -> str:
    """The packages of plug-ins that are installed here in another version, in words."""
    description = json.loads((folder / "experiment.json").read_text())
    saved = [Package(**package) for package in description.get("packages", ())]
    here = {(p.group, p.kind): p.version for p in needed(experiment)}
    other = [p for p in saved if here.get((p.group, p.kind)) != p.version]
    return "".join(
        f", or its {p.told} is {here.get((p.group, p.kind), 'another')} here" for p in other
    )


def stored_model(experiment: Experiment, name: str, encoder: Encoder, weights: Path) -> MultiTask:
    """A model on CPU that reads the file of its weights in place: tables may be larger than memory.

    Raises RecmtlError where the file is another model's.
    """
    model = build_model(
        experiment.models[name], experiment.embedding, encoder.layout, experiment.tasks,
        make_tables=unfilled_tables,
    )
    map_weights(model, weights)
    return model.eval()


def to_batch(encoded: Encoded, labels: Mapping[str, np.ndarray] | None = None) -> Batch:
    """Encoded rows as a batch on the CPU, of weight 1 and without origin."""
    size = len(encoded.rows)
    return Batch(
        rows=torch.from_numpy(encoded.rows),
        dense=torch.from_numpy(encoded.dense),
        lists={
            name: Ragged(torch.from_numpy(values), torch.from_numpy(offsets))
            for name, (values, offsets) in encoded.lists.items()
        },
        labels={name: torch.from_numpy(label) for name, label in (labels or {}).items()},
        weight=torch.ones(size),
        origin=torch.full((size, 2), -1, dtype=torch.int32),
    )
