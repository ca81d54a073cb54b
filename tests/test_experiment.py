"""The configuration: what it refuses, and with which words; what its digest depends on."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from recmtl.errors import RecmtlError
from recmtl.experiment import Experiment
from recmtl.schema.losses import Focal

ROOT = Path(__file__).parent.parent
CONFIGS = sorted((ROOT / "configs").glob("*.toml"))


def content() -> dict[str, Any]:
    return {
        "name": "small",
        "data": {
            "impressions": {"path": "log.parquet", "time": "t", "zone": "UTC"},
            "split": {"valid": "2022-05-03", "test": "2022-05-04"},
        },
        "labels": {"click": "clicked", "converted": "clicked and bought", "spent": "spent"},
        "features": {"user": {"kind": "categorical"}, "price": {"kind": "numeric"}},
        "tasks": {
            "ctr": {"label": "click"},
            "cvr": {"label": "converted", "given": "click"},
            "ctcvr": {"label": "converted", "product": ["ctr", "cvr"]},
            "value": {"label": "spent", "type": "regression"},
        },
        "models": {"mmoe": {"sharing": {"kind": "mmoe"}, "loss": {"ctr": 1.0, "ctcvr": 1.0}}},
        "train": {"monitor": "auc_valid/ctcvr"},
    }


def edited(**edits: object) -> dict[str, Any]:
    """The small configuration with `a__b=value` set at a.b; None removes the key."""
    whole = content()
    for path, value in edits.items():
        *parents, last = path.split("__")
        place = whole
        for key in parents:
            place = place[key]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return whole


def refusal(**edits: object) -> str:
    with pytest.raises(RecmtlError) as caught:
        Experiment.parse(edited(**edits), root=Path(), name="small.toml")
    assert str(caught.value).startswith("small.toml: ")
    return str(caught.value)


def test_the_small_configuration_is_accepted_and_frozen() -> None:
    experiment = Experiment.parse(content(), root=Path())
    with pytest.raises(ValidationError, match="frozen"):
        experiment.name = "other"


@pytest.mark.parametrize("file", CONFIGS, ids=lambda f: f.stem)
def test_every_configuration_that_we_ship_loads(file: Path) -> None:
    assert Experiment.read(file).models


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("trian", "train"),
        ("data__impresions", "impressions"),
        ("data__impressions__tme", "time"),
        ("data__split__vaild", "valid"),
        ("features__user__min_cuont", "min_count"),
        ("tasks__ctr__givn", "given"),
        ("models__mmoe__sharin", "sharing"),
        ("models__mmoe__sharing__expert", "experts"),
        ("models__mmoe__towers", "hidden"),
        ("train__epoch", "epochs"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_right_one(path: str, near: str) -> None:
    value = {"hiden": [8]} if path.endswith("towers") else 1
    message = refusal(**{path: value})
    assert "unknown key" in message
    assert f"did you mean {near!r}?" in message
    assert path.replace("__", ".").split(".")[-1] in message


TASK = {"label": "converted", "given": "click"}
TURNS = [["ctr"], ["ctcvr"]]
RANKED = {"kind": "cross_entropy", "ranking": {"kind": "pairwise", "weight": 0.1}}
LISTED = {"kind": "cross_entropy", "ranking": {"kind": "listwise"}}
REFUSED: list[tuple[dict[str, object], str]] = [
    ({"name": "a/b"}, "name"),
    ({"labels": {}}, "labels"),
    ({"data__impressions__zone": None}, "needs zone"),
    ({"data__impressions": {"path": "x", "unit": "ms"}}, "name the time column"),
    ({"data__impressions": {"path": "x"}}, "needs impressions.day or impressions.time"),
    (
        {
            "data__impressions": {"path": "x", "day": "d"},
            "data__split": {"valid": "2022-05-03T10:00", "test": "2022-05-04"},
        },
        "needs impressions.time",
    ),
    ({"data__split": {"valid": "2022-05-04", "test": "2022-05-03"}}, "valid < test"),
    ({"data__split": {"valid": "2022-05-03", "test": "2022-05-03"}}, "valid < test"),
    ({"data__split__valid": "May"}, "'May' is no day or time such as"),
    ({"data__split": {"hash": ["user"], "valid": 0.5, "test": 0.5}}, "leave rows for train"),
    ({"data__split": {"hash": [], "valid": 0.1, "test": 0.1}}, "hash"),
    ({"data__split": {"files": {"train": "a", "test": "b"}}}, "valid_fraction"),
    (
        {"data__split": {"files": {"train": "a", "test": "b", "valid": "c", "valid_fraction": 0.1}}},
        "valid_fraction",
    ),
    ({"tasks__ctr__label": "clik"}, "no label 'clik'; did you mean 'click'?"),
    ({"tasks__cvr__given": "clik"}, "no label 'clik'; did you mean 'click'?"),
    ({"tasks__ctcvr__product": ["ctr", "cvrr"]}, "no task 'cvrr'; did you mean 'cvr'?"),
    ({"tasks__ctcvr__product": ["ctr"]}, "two tasks or more"),
    ({"tasks__ctcvr__type": "regression"}, "type must be binary"),
    ({"tasks__ctcvr__given": "click"}, "takes no given"),
    ({"tasks__ctcvr__product": ["cvr", "ctr"]}, "first factor 'cvr' must have no given"),
    ({"tasks__cvr__given": None}, "'cvr' must have given = 'click'"),
    ({"tasks__cvr__label": "click"}, "must have the label 'converted'"),
    ({"tasks__ctcvr__product": ["ctr", "value"]}, "every factor of a product is a binary task"),
    ({"features__user": {"kind": "categorical", "share": "usr"}}, "must name a feature"),
    ({"features__user": {"kind": "categorical", "share": "user"}}, "its own vocabulary"),
    ({"features__user": {"kind": "categorical", "share": "x", "width": 4}}, "give none here"),
    ({"features__user": {"kind": "categorical", "buckets": 9, "min_count": 2}}, "buckets hash"),
    ({"features__user": {"kind": "cross", "of": ["a"]}}, "of"),
    ({"features__user": {"kind": "cross", "of": ["a", "b"], "column": "c"}}, "drop `column`"),
    ({"features__user": {"kind": "vektor", "size": 3}}, "no kind 'vektor'; did you mean 'vector'?"),
    ({"models__mmoe__sharing": {"kind": "mmmoe"}},
     "models.mmoe.sharing: no kind 'mmmoe'; did you mean 'mmoe'?"),
    ({"models__mmoe__relation": {"kind": "produkt"}},
     "models.mmoe.relation: no kind 'produkt'; did you mean 'product'?"),
    ({"models__mmoe__relation": {"kind": "aitm"}}, "models.mmoe: relation.chain: two tasks or more"),
    ({"models__mmoe__relation": {"kind": "chain", "chain": ["ctr", "cvr"]}},
     "models.mmoe: relation.chain: 'cvr' has no loss"),
    ({"models__mmoe__relation": {"kind": "dbmtl", "before": {"ctcvr": ["ctr"], "ctr": ["ctcvr"]}}},
     "models.mmoe: relation.before goes in a circle"),
    ({"models__mmoe__relation": {"kind": "escm2"}},
     "models.mmoe: escm2 weighs 'cvr' by what 'ctr' says: 'cvr' has no loss"),
    ({"models__mmoe__relation": {"kind": "escm2", "clip": 0.0}}, "models.mmoe.relation.escm2.clip"),
    ({"models__mmoe__relation": {"kind": "xyz"}}, "no kind 'xyz'; known: "),
    ({"models": {}}, "models"),
    ({"models__mmoe__loss": {"ctr": 0.0}}, "a weight is positive"),
    ({"models__mmoe__loss": {"ctrr": 1.0}}, "no task 'ctrr'; did you mean 'ctr'?"),
    ({"models__mmoe__loss": {"ctr": {"kind": "focal", "weight": -1}}}, "loss.ctr = -1: a weight is"),
    ({"models__mmoe__loss": {"ctr": {"weight": 2.0}}},
     "models.mmoe.loss.ctr: expected a weight, or a table with kind one of cross_entropy, focal"),
    ({"models__mmoe__loss": {"ctr": {"kind": "focal", "gama": 1}}},
     "models.mmoe.loss.ctr.focal.gama: unknown key; did you mean 'gamma'?"),
    ({"models__mmoe__loss": {"ctr": {"kind": "focal", "gamma": -1}}}, "models.mmoe.loss.ctr.focal.gamma"),
    ({"models__mmoe__loss": {"ctr": {"kind": "cross_entropy", "smoothing": 1.0}}},
     "ctr.cross_entropy.smoothing"),
    ({"models__mmoe__loss": {"ctr": {"kind": "cross_entropy", "negatives": 0.0}}},
     "ctr.cross_entropy.negatives"),
    ({"models__mmoe__loss": {"ctr": {"kind": "cross_entropy", "negatives": 0.1, "logit_adjustment": 1}}},
     "loss.ctr.cross_entropy: negatives and logit_adjustment both shift the logit"),
    ({"models__mmoe__loss": {"ctr": {"kind": "huber"}}},
     "models.mmoe: loss.ctr: 'huber' is a loss of regression tasks, 'ctr' is binary"),
    ({"models__mmoe__loss": {"value": {"kind": "focal"}}}, "'value' is regression"),
    ({"models__mmoe__loss": {"ctr": RANKED}},
     "models.mmoe: loss.ctr.ranking: a batch of train hardly ever has two rows of a user: name the"),
    ({"models__mmoe__loss": {"ctr": {**RANKED, "ranking": {"kind": "pairwise", "wieght": 1}}}},
     "loss.ctr.cross_entropy.ranking.wieght: unknown key; did you mean 'weight'?"),
    ({"models__mmoe__loss": {"ctr": {**RANKED, "ranking": {"kind": "pointwise"}}}},
     "loss.ctr.cross_entropy.ranking.kind: Input should be 'pairwise' or 'listwise'"),
    ({"models__mmoe__loss": {"ctr": {**RANKED, "ranking": {"kind": "pairwise", "weight": 0}}}},
     "loss.ctr.cross_entropy.ranking.weight"),
    ({"data__together": "user", "models__mmoe__loss": {"value": {**LISTED, "kind": "squared"}}},
     "models.mmoe: loss.value: ranking: 'listwise' is for binary tasks, 'value' is regression"),
    ({"data__together": "user", "models__mmoe__loss": {"value": {**RANKED, "kind": "squared"}},
      "tasks__value": {"label": ["spent", "click"], "type": "regression"}},
     "models.mmoe: loss.value: ranking: rows are in the order of one label, 'value' has 2"),
    ({"data__together": "user", "models__mmoe__relation": {"kind": "escm2"},
      "models__mmoe__loss": {"ctr": 1.0, "cvr": RANKED}}, "give loss.cvr as a weight alone"),
    ({"train__monitor": "gauc_valid/ctr"},
     "train.monitor: gauc is within users or requests: name their column in data.together"),
    ({"data__together": "user", "train__monitor": "gauc_valid/value"},
     "'gauc' does not measure a regression task"),
    ({"models__mmoe__weighting": {"kind": "dva"}}, "models.mmoe.weighting: "),
    ({"models__mmoe__weighting": {"kind": "dwa", "temperatur": 1}},
     "models.mmoe.weighting.dwa.temperatur: unknown key; did you mean 'temperature'?"),
    ({"models__mmoe__weighting": {"kind": "dwa", "temperature": 0}}, "weighting.dwa.temperature"),
    ({"models__mmoe__weighting": {"kind": "dwa"}, "models__mmoe__loss": {"ctcvr": 1.0}},
     "weighting is between tasks, and loss names one"),
    ({"models__mmoe__weighting": {"kind": "upgard"}}, "no kind 'upgard'; did you mean 'upgrad'?"),
    ({"models__mmoe__weighting": {"kind": "cagrad", "c": 1.0}}, "weighting.cagrad.c"),
    ({"models__mmoe__weighting": {"kind": "mgda", "on": "rows"}}, "weighting.mgda.on"),
    ({"models__mmoe__weighting": {"kind": "mgda"}, "features": {"age": {"kind": "numeric"}}},
     "models.mmoe: weighting.on = 'features': none is embedded"),
    ({"models__mmoe__weighting": {"kind": "mgda"}, "models__mmoe__tables": "per_task"},
     "models.mmoe: weighting.on = 'features': each task has those of its own tables"),
    ({"models__mmoe__weighting": {"kind": "famo", "learning_rate": 0}}, "weighting.famo.learning_rate"),
    ({"models__mmoe__weighting": {"kind": "pcgrad", "on": "parameters"}, "train__processes": 2},
     "models.mmoe: weighting.on = 'parameters' is for one process, not 2"),
    ({"models__mmoe__freeze": {"table": 1}}, "freeze.table: unknown key; did you mean 'tables'?"),
    ({"models__mmoe__freeze": {"sharing": -1}}, "models.mmoe.freeze.sharing"),
    ({"models__mmoe__freeze": {"towers": {"cvr": 1}}},
     "models.mmoe: freeze.towers: no tower 'cvr'; did you mean"),
    ({"models__mmoe__freeze": {"towers": {"ctr": 3}}},
     "models.mmoe: freeze: a part that stands still for 3 epochs of 3 is never trained"),
    ({"models__mmoe__freeze": {"tables": 1, "sharing": 2, "towers": 1}},
     "models.mmoe: freeze: nothing is trained in the first epoch"),
    ({"models__mmoe__freeze": {"tables": 1}, "train__sharded_tables": "planned"},
     "models.mmoe: freeze.tables: sharded tables move in the backward pass"),
    ({"train__task_patience": 0}, "train.task_patience"),
    ({"models__mmoe__turns": [["ctr", "ctcvr"]]}, "turns: two lists of tasks or more, none empty"),
    ({"models__mmoe__turns": [["ctr", "ctcvr"], []]}, "turns: two lists of tasks or more, none empty"),
    ({"models__mmoe__turns": [["ctr"], ["ctcv"]]}, "turns: 'ctcv' has no loss; did you mean 'ctcvr'?"),
    ({"models__mmoe__turns": [["ctr"], ["ctcvr", "ctr"]]}, "turns: 'ctr' stands there twice"),
    ({"models__mmoe__turns": [["ctr"], ["value"]],
      "models__mmoe__loss": {"ctr": 1.0, "ctcvr": 1.0, "value": 1.0}},
     "turns: 'ctcvr' has a loss and no turn"),
    ({"models__mmoe__turns": TURNS, "models__mmoe__weighting": {"kind": "famo"}},
     "weighting is between tasks of one step, turns have steps each"),
    ({"models__mmoe__turns": TURNS, "models__mmoe__sharing": {"kind": "home"}},
     "turns: sharing 'home' normalises by running statistics"),
    ({"models__mmoe__turns": TURNS,
      "models__mmoe__pooling": {"recent": {"target": "user", "activation": "dice"}}},
     "turns: pooling.recent normalises by running statistics"),
    ({"models__mmoe__turns": TURNS, "train__sharded_tables": "planned"},
     "models.mmoe: turns: sharded tables have one optimizer's state"),
    ({"models__mmoe__turns": TURNS, "models__mmoe__tables": "per_task", "train__table_l2": 0.1},
     "models.mmoe: turns: train.table_l2 = 0.1 would move what a row holds of tasks that wait"),
    ({"models__mmoe__sharing": {"kind": "mmoe", "experts": 0}}, "experts"),
    ({"models__mmoe__sharing": {"kind": "single"}, "models__mmoe__tables": "shared"}, "drop tables"),
    ({"models__mmoe__sharing": {"kind": "pepnet", "prior": ["usr"]}},
     "models.mmoe: sharing.prior: no feature 'usr'; did you mean 'user'?"),
    ({"models__mmoe__sharing": {"kind": "ple", "experts": {"ctr": 1, "cvr": 2}}},
     "models.mmoe: sharing.experts: names each of the towers ctr, ctcvr, or is one number"),
    ({"models__mmoe__sharing": {"kind": "home", "groups": [["ctr"], ["cvr"]]}},
     "models.mmoe: sharing.groups: each of the towers ctr, ctcvr stands in one group"),
    (
        {
            "models__mmoe__relation": {"kind": "product"}, "tasks__ctcvr": {"label": "converted"},
        },
        "no task declares a product",
    ),
    (
        {
            "models__mmoe__relation": {"kind": "product"},
            "models__mmoe__loss": {"ctr": 1.0, "cvr": 1.0},
        },
        "no product has a loss",
    ),
    ({"train__monitor": "auc_valid/ctcv"}, "no task 'ctcv'; did you mean 'ctcvr'?"),
    ({"train__monitor": "auc_valid/value"}, "does not measure a regression task"),
    ({"train__monitor": "auc_valid/tasks.mean"}, "no task 'tasks.mean'; did you mean 'tasks.macro'?"),
    ({"train__monitor": "logloss_valid/tasks.macro"},
     "train.monitor: 'logloss' has no mean over these tasks; found one of auc. There is one of "),
    ({"train__monitor": "auc_valid/tasks.weighted", "tasks": {"ctr": {"label": "click"}},
      "models__mmoe__loss": {"ctr": 1.0}}, "'auc' has no mean over these tasks; found one of nothing"),
    ({"train__monitor": "auc_valid/tasks.macro", "models__mmoe__loss": {"ctr": 1.0}},
     "models.mmoe: it neither trains nor derives 'cvr', which train.monitor reads"),
    ({"train__monitor": "rmse_valid/value"}, "neither trains nor derives 'value'"),
    ({"train__monitor": "rmse_valid/ctr"}, "does not measure a binary task"),
    ({"train__monitor": "pcoc_valid/ctr"}, "neither high nor low"),
    ({"train__monitor": "auc/ctr"}, "the form is METRIC_valid/TASK"),
    ({"train__seeds": []}, "train.seeds"),
    ({"train__sharded_tables": "row"}, "train.sharded_tables"),
    ({"train__sharded_tables": "planned", "embedding": {"width": 6}}, "embedding.width = 6"),
    (
        {
            "train__sharded_tables": "planned",
            "features__user": {"kind": "categorical", "width": 2},
        },
        "features.user.width = 2",
    ),
    ({"train__learning_rate": float("inf")}, "train.learning_rate"),
    ({"train__schedule": {"kind": "cosin"}}, "train.schedule: "),
    ({"train__schedule": {"kind": "cosine", "warmpu": 5}},
     "train.schedule.cosine.warmpu: unknown key; did you mean 'warmup'?"),
    ({"train__schedule": {"kind": "cosine", "floor": 1.5}}, "train.schedule.cosine.floor"),
    ({"train__schedule": {"kind": "constant", "warmup": -1}}, "train.schedule.constant.warmup"),
    ({"train__schedule": {"kind": "steps"}}, "train.schedule.steps.epochs"),
    ({"train__schedule": {"kind": "steps", "epochs": [2, 1]}}, "[2, 1]: epochs rise"),
    ({"train__schedule": {"kind": "steps", "epochs": [1, 3]}},
     "schedule.epochs: nothing is trained after epoch 3 of 3"),
    ({"train__schedule": {"kind": "cosine"}, "train__sharded_tables": "planned"},
     "schedule: sharded tables keep their learning rate"),
]


@pytest.mark.parametrize(("edits", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_a_contradiction_is_refused_with_its_reason(edits: dict[str, object], words: str) -> None:
    assert words in refusal(**edits)


def test_every_mistake_is_told_at_once() -> None:
    message = refusal(train__epochs=0, features__user__width=-1)
    assert "train.epochs" in message
    assert "features.user" in message


def test_a_file_that_is_missing_or_no_toml_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(RecmtlError, match="cannot be read: No such file"):
        Experiment.read(tmp_path / "none.toml")
    (tmp_path / "x.toml").write_text("name = ")
    with pytest.raises(RecmtlError, match="is not TOML"):
        Experiment.read(tmp_path / "x.toml")
    (tmp_path / "x.toml").write_bytes(b"\xff")
    with pytest.raises(RecmtlError, match="is not TOML"):
        Experiment.read(tmp_path / "x.toml")


def test_the_digest_follows_the_content_and_not_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Experiment.parse(edited(data__impressions__path="${D}/log"), root=Path("/one"))
    monkeypatch.setenv("D", "elsewhere")
    there = Experiment.parse(edited(data__impressions__path="${D}/log"), root=Path("/two"))
    assert here.digest == there.digest
    other = Experiment.parse(edited(data__impressions__path="${D}/log", train__epochs=4), root=Path())
    assert other.digest != here.digest


def test_defaults_written_out_are_the_same_configuration() -> None:
    plain = Experiment.parse(content(), root=Path())
    assert Experiment.parse(edited(train__epochs=3), root=Path()).digest == plain.digest


def test_a_loss_is_a_weight_or_a_kind_with_options_and_the_digest_follows_both() -> None:
    loss = {"ctr": {"kind": "focal", "gamma": 1.0}, "ctcvr": 0.5}
    experiment = Experiment.parse(edited(models__mmoe__loss=loss), root=Path())
    model = experiment.models["mmoe"]
    assert model.loss == {"ctr": Focal(gamma=1.0), "ctcvr": 0.5}
    again = Experiment.parse(experiment.model_dump(mode="json", exclude={"root"}), root=Path())
    assert again.models == experiment.models and again.digest == experiment.digest
    loss["ctr"] = {"kind": "focal", "gamma": 2.0}
    assert Experiment.parse(edited(models__mmoe__loss=loss), root=Path()).digest != experiment.digest


def test_what_changes_in_training_is_in_the_digest_where_it_is_named_alone() -> None:
    plain = Experiment.parse(content(), root=Path())
    text = plain.model_dump_json()
    keys = ("weighting", "schedule", "freeze", "task_patience", "turns")
    assert not [key for key in keys if key in text]
    edits: dict[str, object] = {
        "models__mmoe__weighting": {"kind": "dwa"}, "train__schedule": {"kind": "cosine", "warmup": 9},
        "models__mmoe__freeze": {"tables": 1, "towers": {"ctr": 2}}, "train__task_patience": 2,
        "models__mmoe__turns": TURNS,
    }
    for key, value in edits.items():
        named = Experiment.parse(edited(**{key: value}), root=Path())
        assert named.digest != plain.digest
        again = Experiment.parse(named.model_dump(mode="json", exclude={"root"}), root=Path())
        assert (again.models, again.train) == (named.models, named.train)


def test_a_ranking_and_its_column_are_in_the_digest_where_they_are_named_alone() -> None:
    plain = Experiment.parse(content(), root=Path())
    assert "ranking" not in plain.model_dump_json() and "together" not in plain.model_dump_json()
    written = Experiment.parse(edited(models__mmoe__loss={"ctr": LISTED, "ctcvr": RANKED},
                                      data__together="user", train__monitor="gauc_valid/ctr"), Path())
    again = Experiment.parse(written.model_dump(mode="json", exclude={"root"}), root=Path())
    assert again == written and again.digest == written.digest
    for dropped in ({"models__mmoe__loss": {"ctr": 1.0, "ctcvr": RANKED}}, {"data__together": "t"}):
        edits = {"data__together": "user", "models__mmoe__loss": {"ctr": LISTED, "ctcvr": RANKED}}
        assert Experiment.parse(edited(**{**edits, **dropped}), Path()).digest != written.digest


@pytest.mark.parametrize("mean", ["tasks.macro", "tasks.weighted"])
def test_a_mean_that_every_model_reports_can_be_monitored(mean: str) -> None:
    """cvr is derived, ctr and ctcvr are trained; a regression has no part in it."""
    found = Experiment.parse(edited(train__monitor=f"auc_valid/{mean}"), root=Path()).train
    assert found.monitored == ("auc", mean) and found.higher_is_better


def test_what_each_model_reports_is_told_apart() -> None:
    mmoe = Experiment.parse(content(), root=Path()).models["mmoe"]
    tasks = Experiment.parse(content(), root=Path()).tasks
    assert mmoe.reports(tasks) == {"ctr": "trained", "cvr": "derived", "ctcvr": "trained"}
    product = edited(models__mmoe__relation={"kind": "product"})
    esmm = Experiment.parse(product, root=Path()).models["mmoe"]
    assert esmm.reports(tasks) == {"ctr": "trained", "cvr": "tower", "ctcvr": "trained"}


@pytest.mark.parametrize("name", ["c.tr", "c/tr", "", "-x"])
def test_a_tasks_name_is_plain(name: str) -> None:
    whole = edited(tasks={name: {"label": "click"}}, train__monitor=f"auc_valid/{name}")
    whole["models"]["mmoe"]["loss"] = {name: 1.0}
    with pytest.raises(RecmtlError, match="is no name"):
        Experiment.parse(whole, Path())


@pytest.mark.parametrize("name", ["../x", "a/b", "..", ""])
def test_a_models_name_is_a_folders(name: str) -> None:
    with pytest.raises(RecmtlError, match="is no name"):
        Experiment.parse(edited(models={name: content()["models"]["mmoe"]}), Path())


def test_a_seed_stands_once() -> None:
    with pytest.raises(RecmtlError, match=r"train\.seeds: \[1, 2, 1\]: a seed stands there twice"):
        Experiment.parse(edited(train__seeds=[1, 2, 1]), Path())


def test_an_interaction_is_checked_against_the_features_when_the_file_is_read() -> None:
    place = {"kind": "categorical", "width": 8}
    found = refusal(features__place=place, models__mmoe__interaction={"kind": "fm"})
    assert "models.mmoe: interaction: fm multiplies" in found and "user has 16, place has 8" in found
    named = {"kind": "fm", "features": ["user", "price"]}
    assert "no feature 'price' with an embedding" in refusal(models__mmoe__interaction=named)
    assert "no kind 'dcn'; did you mean 'dcn_v2'?" in refusal(models__mmoe__interaction={"kind": "dcn"})
    same = edited(features__place={"kind": "categorical", "width": 8}, features__user={
        "kind": "categorical", "width": 8}, features__like={"kind": "bag", "share": "user"},
        models__mmoe__interaction={"kind": "fm"})
    assert Experiment.parse(same, root=Path()).models["mmoe"].interaction.kind == "fm"


def test_a_file_that_names_no_interaction_keeps_its_digest() -> None:
    plain = Experiment.parse(content(), root=Path())
    assert "interaction" not in plain.model_dump(mode="json")["models"]["mmoe"]
    outright = Experiment.parse(edited(models__mmoe__interaction={"kind": "none"}), root=Path())
    other = Experiment.parse(edited(models__mmoe__interaction={"kind": "dcn_v2"}), root=Path())
    assert outright.digest == plain.digest != other.digest


def test_a_list_and_its_target_are_checked_when_the_file_is_read() -> None:
    features = {**content()["features"], "recent": {"kind": "history", "share": "user"},
                "place": {"kind": "categorical", "width": 8}}

    def of(pooling: dict[str, Any]) -> str:
        return refusal(features=features, models__mmoe__pooling=pooling)

    assert "models.mmoe: pooling: no list 'recnt'" in of({"recnt": {"target": "user"}})
    assert "pooling.recent.target: no feature 'price' of one" in of({"recent": {"target": "price"}})
    assert "have 16 columns, those of its target 'place' 8" in of({"recent": {"target": "place"}})
    assert "models.mmoe.pooling.recent.target: Field required" in of({"recent": {}})
    attended = edited(features=features, models__mmoe__pooling={"recent": {"target": "user"}})
    assert Experiment.parse(attended, root=Path()).models["mmoe"].pooling["recent"].target == "user"
    plain = Experiment.parse(content(), root=Path())
    assert "pooling" not in plain.model_dump(mode="json")["models"]["mmoe"]
