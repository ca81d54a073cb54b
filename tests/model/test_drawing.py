"""A drawing is of the model that it is made from: every parameter and every task, whatever its parts."""

import re
from collections.abc import Mapping
from xml.etree import ElementTree

import pytest
import torch
from torch import Tensor, nn

from benchmarks.drawings import IMAGES, RELATIONS, ROOT, drawings
from recmtl.batch import Batch, Embedded, Layout, Related, Shared, Slot
from recmtl.experiment import Experiment
from recmtl.heads import head_of
from recmtl.model import EmbeddingConfig, ModelConfig
from recmtl.model.drawing import draw
from recmtl.model.embedding import Copies, Embedding
from recmtl.model.interaction.module import InteractionModule
from recmtl.model.mlp import Tower
from recmtl.model.multitask import MultiTask, build_model, parameter_count
from recmtl.model.pooling import TargetAttention
from recmtl.model.relation import Relation
from recmtl.model.relation.module import RelationModule
from recmtl.model.sharing import Sharing
from recmtl.model.sharing.module import SharingModule
from recmtl.schema import Task
from recmtl.suite.checks import made, settings
from recmtl.suite.made_up import LAYOUT, TASKS, make_batch
from tests.model.test_contract import LEGAL, MEETING, classes, kinds, model_for

SVG = "{http://www.w3.org/2000/svg}"
Box = tuple[str, list[str]]  # role, title and lines


def boxes(svg: str) -> list[Box]:
    root = ElementTree.fromstring(svg)
    return [
        (group.get("class", ""), [str(text.text) for text in group.iter(f"{SVG}text")])
        for group in root.iter(f"{SVG}g")
    ]


def counted(found: list[Box]) -> dict[str, int]:
    """The parameters that the boxes name, of tables and of layers."""
    total = {"tables": 0, "dense": 0}
    for role, (title, *lines) in found:
        for line in lines:
            said = re.fullmatch(r"([\d,]+) parameters?( each)?", line)
            if said:
                copies = int(title.split()[0]) if said.group(2) else 1
                total["tables" if role == "tables" else "dense"] += copies * int(said[1].replace(",", ""))
    return total


@pytest.mark.parametrize(("sharing", "relation", "loss", "interaction"), [
    *((sharing, "independent", "every_task", "none") for sharing in kinds(Sharing)),
    *(("mmoe", relation, loss, "none") for relation, losses in LEGAL.items() for loss in losses),
    *(("stem", "independent", "all_rows", interaction) for interaction in MEETING),
])
def test_every_parameter_and_every_task_is_drawn(
    sharing: str, relation: str, loss: str, interaction: str
) -> None:
    model = model_for(sharing, relation, loss, interaction)
    found = boxes(draw(model, sharing))
    assert counted(found) == parameter_count(model)
    output = model(make_batch(3))
    tasks = {texts[0]: "derived" in texts for role, texts in found if role == "task"}
    assert tasks == {task: task not in output.raw for task in model.scores(output, make_batch(3))}


@pytest.mark.parametrize(("sharing", "tables"), [
    (kind.model_fields["kind"].default, tables) for kind in classes(Sharing) for tables in kind.tables
])
def test_a_view_is_drawn_for_each_copy_of_the_tables(sharing: str, tables: str) -> None:
    model = model_for(sharing, "independent", "all_rows", tables=tables)  # type: ignore[arg-type]
    found = boxes(draw(model, sharing))
    views = [texts[0] for role, texts in found if role == "view" and texts[0] != "scaled view"]
    assert sorted(views) == {
        "shared": ["view"], "per_task": ["view of ctcvr", "view of ctr"],
        "both": ["view of all tasks", "view of ctcvr", "view of ctr"],
    }[tables]


def test_what_a_list_is_pooled_by_and_what_meets_before_the_sharing_have_boxes_of_their_own() -> None:
    crosses = {"kind": "dcn_v2", "rank": 2}
    chosen = settings({"kind": "mmoe"}, {"kind": "independent"}, "all_rows", crosses)
    model = made(chosen.model_copy(update={"pooling": {"history": TargetAttention(target="item")}}))
    found = boxes(draw(model, "m"))
    assert counted(found) == parameter_count(model)
    titles = [texts[0] for _, texts in found]
    assert titles.count("attention over lists") == titles.count("cross networks") == 1


def test_a_gate_over_what_the_towers_read_has_a_box_for_each_task() -> None:
    gated = {"kind": "pepnet", "prior": ["user"], "output_gate": True}
    model = made(settings(gated, {"kind": "independent"}, "all_rows"))
    found = boxes(draw(model, "m"))
    assert counted(found) == parameter_count(model)
    titles = [texts[0] for _, texts in found]
    assert titles.count("output gate: 4 columns of prior") == 1
    assert {"scaled view of ctr", "scaled view of ctcvr"} < {*titles}


def test_features_stand_in_groups_with_the_largest_by_name() -> None:
    found = boxes(draw(model_for("shared_bottom", "independent", "all_rows"), "m"))
    assert [texts for role, texts in found if role == "features"] == [
        ["2 features: an id", "user: 20 values", "item: 12 values"],
        ["1 feature: a list of ids", "history: 12 values"],
        ["1 feature: an id", "place: 9 values"],
        ["1 feature: a list of ids", "tags: 7 values"],
        ["2 features: numbers", "picture: 3 columns", "age: 2 columns"],
    ]
    slots = tuple(Slot(f"f{i}", 4, 0, i) for i in range(1, 41))
    copies, layout = Copies(("ctr",), "shared"), Layout(slots, (), {}, {4: 41}, ())
    embedding = Embedding(layout, copies, EmbeddingConfig(), {})
    views, tower = (embedding, InteractionModule(embedding.columns)), Tower(160, [2])
    heads = {"ctr": head_of(TASKS["ctr"])}
    model = MultiTask(views, Passed(160), {"ctr": tower}, RelationModule(160), heads)
    (many,) = [texts for role, texts in boxes(draw(model, "m")) if role == "features"]
    assert many == ["40 features: an id", "f40: 40 values", "f39: 39 values", "f38: 38 values",
                    "f37: 37 values", "and 36 more"]


class Passed(SharingModule):
    """A sharing that says nothing of itself."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.outputs = inputs
        self.own = nn.Parameter(torch.zeros(7))

    def forward(self, embedded: Embedded) -> Shared:
        return Shared(embedded.views)


class Shifted(RelationModule):
    """A relation that says nothing of itself and changes both views and outputs."""

    def transfer(self, views: Mapping[str, Tensor], batch: Batch) -> Mapping[str, Tensor]:
        return views

    def relate(self, raw: Mapping[str, Tensor], views: Mapping[str, Tensor], batch: Batch) -> Related:
        return Related(raw)


def test_a_part_that_says_nothing_is_a_box_with_its_shape_and_parameters() -> None:
    embedding = Embedding(LAYOUT, Copies(("ctr", "cvr"), "shared"), EmbeddingConfig(), {})
    width = embedding.columns.width
    towers = {task: Tower(width, [2]) for task in ("ctr", "cvr")}
    relation = Shifted(width)
    views = embedding, InteractionModule(embedding.columns)
    heads = {task: head_of(TASKS[task]) for task in towers}
    model = MultiTask(views, Passed(width), towers, relation, heads)
    found = boxes(draw(model, "m"))
    assert ("network", ["passed", f"{width} → {width}", "7 parameters"]) in found
    assert [texts for role, texts in found if role == "relation"] == [
        ["shifted", f"{width} → {width}", "0 parameters"], ["shifted"],
    ]
    assert counted(found) == parameter_count(model)


def test_a_task_s_name_is_escaped_and_its_meaning_told() -> None:
    tasks = {"a<b>": Task(label="x&y", given="seen"), "c": Task(label="z", type="regression")}
    model = build_model(
        ModelConfig.model_validate({"sharing": {"kind": "separate"}, "loss": {"a<b>": 1.0, "c": 1.0}}),
        EmbeddingConfig(), LAYOUT, tasks,
    )
    ends = [texts for role, texts in boxes(draw(model, "<m>")) if role == "task"]
    assert ends == [["a<b>", "P(x&y | seen)"], ["c", "E[z]"]]


def test_the_pictures_in_the_docs_are_those_of_the_models_as_they_are() -> None:
    made = dict(drawings())
    assert {f.name for f in IMAGES.glob("*.svg")} == made.keys()
    old = [name for name, svg in made.items() if (IMAGES / name).read_text() != svg]
    assert not old, "python benchmarks/drawings.py"


def test_every_sharing_and_relation_is_in_the_docs() -> None:
    models = Experiment.read(ROOT / "configs" / "sharings.toml").models.values()
    assert {m.sharing.kind for m in models} == set(kinds(Sharing))
    assert {"independent", *RELATIONS} == set(kinds(Relation))
