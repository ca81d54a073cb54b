"""The drawings in docs/images: every model of configs/sharings.toml, and each relation over one of them.

    python benchmarks/drawings.py

They are made from models that are built for it, with the sizes of a log with 300,000 users.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from recmtl.batch import Layout, Slot
from recmtl.experiment import Experiment
from recmtl.folder import write_file
from recmtl.model import EmbeddingConfig, ModelConfig
from recmtl.model.drawing import draw
from recmtl.model.embedding import unfilled_tables
from recmtl.model.multitask import build_model
from recmtl.schema import Task

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
SIZES = {"user_id": 300_003, "item_id": 24_603, "segment": 15, "category": 43, "device": 8, "hour": 27}
CHAIN = {"chain": ["ctr", "ctcvr"]}
LOSSES = {"ctr": 1.0, "ctcvr": 1.0}
RELATIONS: Mapping[str, Mapping[str, object]] = {
    "product": {"loss": LOSSES}, "aitm": {"relation": CHAIN, "loss": LOSSES},
    "chain": {"relation": CHAIN, "loss": LOSSES},
    "label_chain": {"relation": CHAIN, "loss": LOSSES},
    "dbmtl": {"relation": {"before": {"cvr": ["ctr"], "ctcvr": ["ctr", "cvr"]}},
              "loss": {**LOSSES, "cvr": 1.0}},
    "escm2": {"loss": {"ctr": 1.0, "cvr": 1.0}},
}


def layout(width: int) -> Layout:
    """The features of configs/sharings.toml."""
    slots, first = [], 0
    for name, size in SIZES.items():
        slots.append(Slot(name, width, first, size))
        first += size
    lists = (Slot("tags", width, first, 63), Slot("history", width, slots[1].first, slots[1].size))
    dense = {"age": 2, "price": 2, "discount": 2}  # a number, and whether it is missing
    return Layout(tuple(slots), lists, dense, {width: first + 63}, ())


def drawings() -> Iterator[tuple[str, str]]:
    """File names and what belongs into them."""
    experiment = Experiment.read(ROOT / "configs" / "sharings.toml")
    for name, config in experiment.models.items():
        yield f"model-{name}.svg", drawn(name, config, experiment.embedding, experiment.tasks)
    for kind, own in RELATIONS.items():
        options = {"kind": kind, **dict(own.get("relation", {}))}  # type: ignore[call-overload]
        config = ModelConfig.model_validate(
            {"sharing": {"kind": "separate"}, "relation": options, "loss": own["loss"]}
        )
        yield f"relation-{kind}.svg", drawn(
            f"separate under {kind}", config, experiment.embedding, experiment.tasks
        )


def drawn(name: str, config: ModelConfig, embedding: EmbeddingConfig, tasks: Mapping[str, Task]) -> str:
    """A model over tables that no row is drawn for: only their sizes count."""
    model = build_model(
        config, embedding, layout(embedding.width), tasks, make_tables=unfilled_tables
    )
    return draw(model, name)


if __name__ == "__main__":
    for file, svg in drawings():
        write_file(IMAGES / file, svg)
