"""Tasks by type: which keys they take, what is refused and with which words, what the digest keeps."""

from typing import Any

import pytest
from pydantic import ValidationError

from recmtl.errors import RecmtlError
from recmtl.schema import Task
from tests.test_experiment import Experiment, Path, edited, refusal

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"classes": 3}, "classes: a key of multiclass and ordinal and retrieval tasks"),
    ({"label": ["a", "b"]}, "type = 'binary' takes one label"),
    ({"label": ["a", "a"], "type": "regression"}, "two labels or more, each once"),
    ({"label": ["a"], "type": "regression"}, "two labels or more, each once"),
    ({"type": "ordinal"}, "type = 'ordinal' needs 3 or more"),
    ({"type": "ordinal", "classes": ["no", "yes"]}, "needs 3 or more: classes = 5 of a label"),
    ({"type": "multilabel"}, "type = 'multilabel' takes a list of them"),
    ({"missing": "negative"}, "missing: a key of multilabel tasks, this one is binary"),
    ({"log": True}, "log: a key of regression tasks, this one is binary"),
    ({"type": "multiclass"}, "type = 'multiclass' needs 2 or more: classes = 5"),
    ({"type": "multiclass", "classes": 1}, "needs 2 or more"),
    ({"type": "multiclass", "classes": ["a", "a"]}, "twice"),
    ({"type": "multiclass", "classes": ["a", 1]}, "not both"),
    ({"type": "multiclass", "classes": 1001}, "takes 1,000 at most, found 1,001; type = 'retrieval'"),
    ({"type": "ordinal", "classes": 9999}, "takes 1,000 at most, found 9,999; type = 'retrieval' takes"),
    ({"type": "retrieval", "classes": 1 << 25, "top": 5}, "takes 16,777,216 at most, found 33,554,432"),
    ({"type": "retrieval", "top": 5}, "type = 'retrieval' needs 2 or more"),
    ({"type": "retrieval", "classes": 9000}, "top: type = 'retrieval' scores .*: 1 to 500, top = 50"),
    ({"type": "retrieval", "classes": 9000, "top": 501}, "the likeliest of its classes: 1 to 500"),
    ({"type": "retrieval", "classes": 9, "top": 9}, "the likeliest of its classes: 1 to 8"),
    ({"type": "multiclass", "classes": 9, "top": 3}, "top: a key of retrieval tasks, this one is multi"),
    ({"type": "multiclass", "classes": 3, "product": ["ctr", "cvr"]}, "type must be binary"),
]


@pytest.mark.parametrize(("keys", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_keys_that_a_type_does_not_take_are_refused(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Task.model_validate({"label": "y", **keys})


def test_tasks_without_new_keys_are_written_as_before() -> None:
    assert Task(label="y").model_dump() == {"label": "y", "type": "binary", "given": None, "product": ()}


RATING = {"label": "spent", "type": "multiclass", "classes": [1, 2, 9]}
ITEM = {"label": "spent", "type": "retrieval", "classes": 9000, "top": 3}
IN_A_FILE: list[tuple[dict[str, object], str]] = [
    ({"tasks__rating": RATING}, "tasks.value: tasks.rating lists other classes of 'spent'"),
    ({"tasks__value": RATING, "tasks__other": {"label": "click", "given": "spent"}},
     "'spent' must be 0 or 1"),
    ({"tasks__value": RATING, "models__mmoe__loss": {"ctr": 1.0, "ctcvr": 1.0, "value": {
        "kind": "softmax", "class_weights": [1.0, 2.0]}}}, "2 numbers, 'value' has 3 classes"),
    ({"tasks__value": RATING, "models__mmoe__loss": {"ctr": 1.0, "ctcvr": 1.0, "value": {
        "kind": "squared"}}}, "'squared' is a loss of regression tasks, 'value' is multiclass"),
    ({"tasks__value": RATING, "models__mmoe__loss": {"ctr": 1.0, "ctcvr": 1.0, "value": {
        "kind": "sampled_softmax"}}}, "'sampled_softmax' is a loss of retrieval tasks, 'value' is multi"),
    ({"tasks__value": ITEM, "models__mmoe__loss": {"ctr": 1.0, "ctcvr": 1.0, "value": {
        "kind": "softmax"}}}, "'softmax' is a loss of multiclass tasks, 'value' is retrieval"),
    ({"tasks__value": ITEM, "models__mmoe__loss": {"ctr": 1.0, "ctcvr": 1.0, "value": {
        "kind": "sampled_softmax", "samples": 0}}}, "samples: Input should be greater than or equal"),
    ({"tasks__value": ITEM, "train__monitor": "top3_valid/value"}, "'top3' does not measure a retrieval"),
    ({"tasks__value": RATING, "train__monitor": "rmse_valid/value"}, "'rmse' does not measure a multi"),
    ({"tasks__value": RATING, "train__monitor": "top3_valid/value"}, "'top3' does not measure"),
    ({"tasks__value": RATING, "models__mmoe__loss": {"ctr": 1.0, "ctcvr": 1.0, "value": 1.0},
      "models__mmoe__relation": {"kind": "aitm", "chain": ["ctr", "value"]}}, "chain is of binary tasks"),
]


@pytest.mark.parametrize(("edits", "words"), IN_A_FILE, ids=[words for _, words in IN_A_FILE])
def test_what_does_not_fit_a_task_s_type_is_refused(edits: dict[str, object], words: str) -> None:
    assert words in refusal(**edits)


def test_a_metric_of_the_type_may_be_monitored() -> None:
    loss = {"ctr": 1.0, "value": 1.0}
    edits = {"tasks__value": RATING, "models__mmoe__loss": loss, "train__monitor": "accuracy_valid/value"}
    experiment = Experiment.parse(edited(**edits), root=Path())
    assert experiment.train.higher_is_better
    with pytest.raises(RecmtlError, match="METRIC one of auc"):
        Experiment.parse(edited(train__monitor="precision_valid/ctr"), root=Path())
