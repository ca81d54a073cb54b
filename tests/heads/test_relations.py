"""Tasks of every type side by side under every relation and sharing."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import pytest
import torch

from recmtl.heads import head_of
from recmtl.learn.group import ALONE
from recmtl.learn.optim import build_optimizers
from recmtl.learn.settings import TrainConfig
from recmtl.learn.step import Objective, make_step, parameters
from recmtl.model import EmbeddingConfig, ModelConfig
from recmtl.model.interaction import Interaction
from recmtl.model.multitask import build_model
from recmtl.model.relation import Independent, Relation, RelationConfig
from recmtl.model.sharing import Sharing
from recmtl.schema.losses import D2Q
from recmtl.seed import seed_everything
from recmtl.suite.checks import NEEDED, kinds
from recmtl.suite.made_up import LAYOUT
from recmtl.suite.made_up import TASKS as FUNNEL
from tests.heads.made_up import TASKS, batch_of, known_of

EVERY = {**FUNNEL, **TASKS}
OF_ALL = {**dict.fromkeys(TASKS, 0.1), "ctr": 1.0, "cvr": 1.0, "ctcvr": 1.0,
          "watch_quantile": D2Q(weight=0.1, groups=4)}


class Narrow(Independent):
    kind: Literal["narrow"] = "narrow"  # type: ignore[assignment]
    accepts = RelationConfig.accepts


CASES = [("mmoe", relation) for relation in kinds(Relation)]
CASES += [(sharing, "independent") for sharing in kinds(Sharing) if sharing != "mmoe"]
OTHERS = [(s, r) for s in kinds(Sharing) for r in kinds(Relation) if (s, r) not in CASES]


@pytest.mark.parametrize(("sharing", "relation"), CASES)
def test_all_types_learn_beside_each_other(sharing: str, relation: str) -> None:
    check_that_all_types_learn(sharing, relation, "none")


def test_all_types_learn_before_and_after_each_other() -> None:
    before = {**dict.fromkeys(TASKS, ("ctr",)), "ctcvr": [*TASKS]}
    check_that_all_types_learn("mmoe", "dbmtl", "none", {"before": before})


@pytest.mark.slow
@pytest.mark.parametrize("interaction", kinds(Interaction))
@pytest.mark.parametrize(("sharing", "relation"), [*CASES, *OTHERS])
def test_all_types_learn_under_every_combination(sharing: str, relation: str, interaction: str) -> None:
    check_that_all_types_learn(sharing, relation, interaction)


def check_that_all_types_learn(
    sharing: str, relation: str, interaction: str, options: Mapping[str, object] = MappingProxyType({})
) -> None:
    model_config = ModelConfig.model_validate({
        "sharing": {"kind": sharing, "hidden": [8, 6]}, "towers": {"hidden": [5]}, "loss": OF_ALL,
        "relation": {"kind": relation, **NEEDED.get(relation, {}), **options},
        "interaction": {"kind": interaction, **NEEDED.get(interaction, {})},
    })
    assert model_config.refusal(EVERY) is None
    batch = batch_of(64)
    known = known_of(EVERY, OF_ALL, batch)
    seed_everything(3)
    embedding = EmbeddingConfig(width=4, init=0.5)
    model = build_model(model_config, embedding, LAYOUT, EVERY, known).train()
    objective = Objective(EVERY, model_config.loss, known)
    config = TrainConfig.model_validate({"monitor": "auc_valid/ctr", "learning_rate": 0.02})
    step = make_step(model, objective, build_optimizers(*parameters(model), config), config, ALONE)
    totals = [float(objective.total(step(batch))) for _ in range(10)]
    assert totals[-1] < totals[0]
    with torch.no_grad():
        scores = model.eval().scores(model(batch), batch)
    for name in OF_ALL:
        columns = head_of(EVERY[name]).columns
        assert scores[name].shape == ((64, columns) if columns else (64,))
        assert torch.isfinite(scores[name]).all()


@pytest.mark.parametrize("name", TASKS)
def test_a_relation_that_says_nothing_takes_binary_tasks_and_regressions(name: str) -> None:
    config = ModelConfig.model_validate({
        "sharing": {"kind": "mmoe"}, "relation": Narrow(), "loss": {"ctr": 1.0, name: 1.0},
    })
    refused = config.refusal(EVERY)
    if EVERY[name].type in ("binary", "regression"):
        assert refused is None
    else:
        assert refused == (
            f"relation 'narrow' takes ['binary', 'regression'] tasks, {name!r} is {EVERY[name].type}"
        )
