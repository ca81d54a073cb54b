"""Which steps may be recorded on a GPU: those that are the same kernels each time, and wait for none."""

from collections.abc import Mapping

import numpy as np
import pytest
from torch import nn

from recmtl.learn.group import ALONE, Group
from recmtl.learn.settings import TrainConfig
from recmtl.learn.step import Objective, recordable
from recmtl.learn.turns import Turn
from recmtl.model.multitask import MultiTask
from recmtl.model.relation.module import RelationModule
from recmtl.schema.freeze import Freeze
from recmtl.schema.weighting import FAMO
from recmtl.suite.checks import LOSSES, made, on_batch, settings
from recmtl.suite.made_up import TASKS, make_batch


def model_of(**sharing: object) -> MultiTask:
    return made(settings({"kind": "shared_bottom", **sharing}, {"kind": "independent"}, "all_rows"))


def may(
    model: nn.Module, group: Group = ALONE, train: Mapping[str, object] | None = None, **aim: object
) -> bool:
    config = TrainConfig.model_validate({"monitor": "auc_valid/ctr", **(train or {})})
    known = on_batch(make_batch(16))
    objective = Objective(TASKS, LOSSES["all_rows"], known, **aim)  # type: ignore[arg-type]
    return recordable(model, objective, config, group)


def test_steps_that_are_alike_may() -> None:
    assert may(model_of())
    assert may(model_of(kind="soft_sharing", distance="l2"))


def test_singular_values_are_waited_for() -> None:
    assert not may(model_of(kind="soft_sharing", distance="trace_norm"))


def test_any_part_may_say_so_of_itself() -> None:
    """A relation of a package, and a piece deep within a part."""

    class Waiting(RelationModule):
        recordable = False

    model = model_of()
    model.relation = Waiting(model.relation.outputs)
    assert not may(model)
    model = model_of()
    piece = model.towers["ctr"].hidden[0]
    piece.recordable = False
    assert not may(model)
    piece.recordable = True
    assert may(model)


@pytest.mark.parametrize("changing", [
    {"train": {"schedule": {"kind": "cosine"}}}, {"train": {"task_patience": 1}},
    {"freeze": Freeze(tables=1)}, {"weighting": FAMO()}, {"group": Group(0, 2)},
    {"turns": [Turn(("ctr", "ctcvr"), np.arange(16), 1.0)]},
], ids=lambda changing: next(iter(changing)))
def test_steps_that_differ_may_not(changing: dict[str, object]) -> None:
    assert not may(model_of(), **changing)  # type: ignore[arg-type]
