"""A bundle loads to the scores it was saved with, or not at all."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import load_file, save_file

from recmtl.bundle import Bundle
from recmtl.errors import RecmtlError
from recmtl.experiment import Experiment
from recmtl.folder import write_folder
from recmtl.model.multitask import build_model


@pytest.fixture
def bundle(finished: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(finished / "out/models/esmm/seed-1/bundle", tmp_path / "bundle"))


def test_save_and_load_give_equal_scores(bundle: Path, finished: Path, tmp_path: Path) -> None:
    first = Bundle.load(bundle)
    rows = pq.read_table(finished / "out/examples/dt=2024-01-04")
    with write_folder(tmp_path / "again", {}) as made:
        first.save(made, rows)
    second = Bundle.load(tmp_path / "again")
    before, after = first.score(rows), second.score(rows)
    assert list(before) == list(after) == ["ctr", "cvr", "ctcvr"]
    for task in before:
        np.testing.assert_array_equal(before[task], after[task])
    assert (second.model_name, second.seed) == ("esmm", 1)
    assert second.experiment.digest == first.experiment.digest


def test_layers_in_bf16_are_a_copy_over_the_same_tables(bundle: Path, finished: Path) -> None:
    whole = Bundle.load(bundle)
    rows = pq.read_table(finished / "out/examples/dt=2024-01-04")
    before, half = whole.score(rows), whole.in_bf16()
    assert half.model.embedding is whole.model.embedding
    of_layers = [p for n, p in half.model.named_parameters() if "head" not in n and "tables" not in n]
    assert {p.dtype for p in of_layers} == {torch.bfloat16}
    cast_at_each_batch = replace(whole, half=True).score(rows)
    for task, scores in half.score(rows).items():
        np.testing.assert_array_equal(scores, cast_at_each_batch[task])
        np.testing.assert_array_equal(whole.score(rows)[task], before[task])


def test_a_bundle_holds_no_pickle(bundle: Path) -> None:
    assert {f.suffix for f in bundle.rglob("*") if f.is_file()} == {".json", ".parquet", ".safetensors"}


def test_scores_of_one_bundle_do_not_depend_on_the_other_rows(bundle: Path, finished: Path) -> None:
    loaded = Bundle.load(bundle)
    rows = pq.read_table(finished / "out/examples/dt=2024-01-04")
    together, alone = loaded.score(rows), loaded.score(rows.slice(17, 1))
    for task, score in alone.items():
        np.testing.assert_allclose(score, together[task][17:18], atol=1e-6)


def test_every_tampered_dense_weight_is_refused(bundle: Path) -> None:
    """Weights that no score reads cannot be told; those of the towers' last layers can."""
    file = bundle / "weights.safetensors"
    weights = load_file(file)
    for name in [n for n in weights if weights[n].ndim == 1]:
        save_file({**weights, name: weights[name] + 1}, file)
        with pytest.raises(RecmtlError, match="scores its golden rows differently"):
            Bundle.load(bundle)
    save_file(weights, file)
    Bundle.load(bundle)


@pytest.mark.parametrize("change", ["cut", "missing", "renamed", "of another shape", "absent"])
def test_weights_that_do_not_fit_are_refused(bundle: Path, change: str) -> None:
    file = bundle / "weights.safetensors"
    weights = load_file(file)
    name = next(iter(weights))
    if change == "cut":
        file.write_bytes(file.read_bytes()[:-100])
    elif change == "absent":
        file.unlink()
    else:
        tensor = weights.pop(name)
        other = {"renamed": {"x": tensor}, "of another shape": {name: tensor[:1].copy()}}
        save_file(weights | other.get(change, {}), file)
    with pytest.raises(RecmtlError, match="weights"):
        Bundle.load(bundle)


@pytest.mark.parametrize(
    "file", ["manifest.json", "experiment.json", "encoder/encoder.json",
             "encoder/vocabulary/user.parquet", "golden_rows.parquet", "golden_scores.parquet"]
)
def test_a_bundle_that_lacks_a_file_is_refused(bundle: Path, file: str) -> None:
    (bundle / file).unlink()
    with pytest.raises(RecmtlError) as caught:
        Bundle.load(bundle)
    assert str(bundle) in str(caught.value)


def test_another_encoder_is_refused(bundle: Path) -> None:
    """Of the same sizes, so that only the golden rows can tell."""
    file = bundle / "encoder" / "vocabulary" / "user.parquet"
    table = pq.read_table(file)
    values = table["value"].to_numpy()[::-1].copy()
    pq.write_table(table.set_column(table.column_names.index("value"), "value", [values]), file)
    with pytest.raises(RecmtlError, match="scores its golden rows differently"):
        Bundle.load(bundle)


def test_an_encoder_of_another_size_is_refused(bundle: Path) -> None:
    file = bundle / "encoder" / "encoder.json"
    content = json.loads(file.read_text())
    content["layout"]["tables"] = {k: v + 1 for k, v in content["layout"]["tables"].items()}
    file.write_text(json.dumps(content))
    with pytest.raises(RecmtlError):
        Bundle.load(bundle)


def test_a_changed_configuration_is_refused(bundle: Path) -> None:
    file = bundle / "experiment.json"
    file.write_text(file.read_text().replace('"model": "esmm"', '"model": "nobody"'))
    with pytest.raises(RecmtlError, match="nobody"):
        Bundle.load(bundle)


@pytest.mark.parametrize("relation", [
    {"kind": "aitm", "chain": ["ctr", "ctcvr"]},
    {"kind": "chain", "chain": ["ctr", "ctcvr"]},
    {"kind": "label_chain", "chain": ["ctr", "ctcvr"], "labels": "true"},
    {"kind": "dbmtl", "before": {"cvr": ["ctr"], "ctcvr": ["ctr", "cvr"]}, "hidden": [5]},
    {"kind": "escm2", "hidden": [3]},
], ids=lambda relation: relation["kind"])
def test_a_relation_with_weights_is_loaded_again(
    bundle: Path, finished: Path, tmp_path: Path, relation: dict[str, object]
) -> None:
    trained = Bundle.load(bundle)
    content = json.loads(trained.experiment.model_dump_json())
    content["models"]["esmm"] |= {"relation": relation, "loss": {"ctr": 1.0, "cvr": 1.0, "ctcvr": 1.0}}
    experiment = Experiment.parse(content, tmp_path)
    options = experiment.models["esmm"]
    model = build_model(options, experiment.embedding, trained.encoder.layout, experiment.tasks)
    assert list(model.relation.parameters())
    with torch.no_grad():
        for parameter in model.relation.parameters():
            parameter.normal_()
    first = replace(trained, experiment=experiment, model=model.eval())
    rows = pq.read_table(finished / "out/examples/dt=2024-01-04")
    with write_folder(tmp_path / "again", {}) as made:
        first.save(made, rows)
    before, after = first.score(rows), Bundle.load(tmp_path / "again").score(rows)
    assert list(before) == list(after) == ["ctr", "cvr", "ctcvr"]
    for task in before:
        np.testing.assert_array_equal(before[task], after[task])
