"""Two processes with tables that TorchRec shards: the curve of one process, its bundle, and a kill."""

import re
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from recmtl import pipeline
from recmtl.batch import Layout, Slot
from recmtl.bundle import Bundle
from recmtl.errors import RecmtlError
from recmtl.folder import read_manifest
from recmtl.learn import TrainConfig
from recmtl.learn.sharded.tables import ShardedTables
from recmtl.pipeline import Options
from tests import tiny_shop
from tests.test_launch import assert_resumes

SINGLE = """
[models.single]
sharing = { kind = "single", hidden = [8] }
pooling = { recent = { kind = "target_attention", target = "brand" } }
loss    = { ctr = 1.0, ctcvr = 1.0 }

[train]"""
needs_torchrec = pytest.mark.skipif(
    not all(map(find_spec, ("torchrec", "fbgemm_gpu"))), reason="needs torchrec and fbgemm-gpu: make test"
)


def options(*models: str) -> Options:
    return Options(models=models, seeds=[1], device="cpu", track=False)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Encoded, with tables of two widths, and its file for one process and for two in two ways."""
    folder = tmp_path_factory.mktemp("shop")
    text = tiny_shop.write(folder).read_text().replace("epochs     = 2", "epochs = 3\npatience = 3")
    text = text.replace("[train]", SINGLE).replace("min_count = 2", "min_count = 2, width = 8")
    for name, settings in {
        "one": "batch_size = 256", "row_wise": 'batch_size = 128\nsharded_tables = "planned"',
        "one_decayed": "batch_size = 256\ntable_l2 = 0.01",
        "table_wise": 'batch_size = 128\ntable_l2 = 0.01\nsharded_tables = "table_wise"',
    }.items():
        processes = 1 if name.startswith("one") else 2
        (folder / f"{name}.toml").write_text(
            text.replace("batch_size = 256", f"{settings}\nprocesses = {processes}\ncheckpoint_steps = 1")
        )
    for step in (pipeline.ingest, pipeline.encode):
        step(folder / "one.toml", folder / "one", options())
    for name in ("row_wise", "one_decayed", "table_wise", "killed"):
        tiny_shop.beside(folder / "one", name)
    return folder


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module")
def row_wise(shop: Path) -> list[Path]:
    """The runs of two models with shared tables and with tables a task, on two processes."""
    return pipeline.train(shop / "row_wise.toml", shop / "row_wise", options("mmoe", "single"))


def assert_equal_curves(alone: Path, together: Path) -> None:
    """Within 1e-4 of every loss and weight; 1e-3 of an AUC: rounding turns a pair of near ties round."""
    curves = [read_manifest(folder)["epochs"] for folder in (alone, together)]
    assert len(curves[0]) == len(curves[1]) == 3
    for one, two in zip(*curves, strict=True):
        for name, value in one["metrics"].items():
            slack = 1e-3 if name.startswith("auc") else 1e-4
            assert two["metrics"][name] == pytest.approx(value, rel=slack, abs=slack), name
    weights = [load_file(folder / "bundle" / "weights.safetensors") for folder in (alone, together)]
    assert weights[0].keys() == weights[1].keys()
    for name, tensor in weights[0].items():
        np.testing.assert_allclose(weights[1][name], tensor, rtol=1e-4, atol=1e-4, err_msg=name)
    assert read_manifest(alone)["parameters"] == read_manifest(together)["parameters"]
    assert Bundle.load(together / "bundle").model_name == read_manifest(alone)["model"]


@needs_torchrec
def test_row_wise_tables_have_the_curve_of_one_process(shop: Path, row_wise: list[Path]) -> None:
    alone = pipeline.train(shop / "one.toml", shop / "one", options("mmoe", "single"))
    for one, two in zip(alone, row_wise, strict=True):
        assert_equal_curves(one, two)


@needs_torchrec
def test_table_wise_tables_have_it_too_and_the_log_says_where_they_lie(
    shop: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    together = pipeline.train(shop / "table_wise.toml", shop / "table_wise", options("esmm"))
    places = re.findall(r"table width_(8|16)_0: table_wise .*: \d+ on process ([01])$",
                        capfd.readouterr().err, re.MULTILINE)
    assert {width for width, _ in places} == {"8", "16"} and {place for _, place in places} == {"0", "1"}
    alone = pipeline.train(shop / "one_decayed.toml", shop / "one_decayed", options("esmm"))
    assert_equal_curves(*alone, *together)


@needs_torchrec
def test_after_a_kill_it_goes_on_to_the_same_weights(shop: Path, row_wise: list[Path]) -> None:
    assert_resumes(shop / "row_wise.toml", shop / "killed", 6, row_wise[0])  # of four steps an epoch


def test_without_torchrec_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "recmtl.learn.sharded.collection", raising=False)
    monkeypatch.setitem(sys.modules, "fbgemm_gpu", None)
    monkeypatch.setitem(sys.modules, "torchrec", None)
    config = TrainConfig(monitor="auc_valid/ctr", sharded_tables="planned")
    with pytest.raises(RecmtlError, match=r"train\.sharded_tables: TorchRec is not installed"):
        ShardedTables(Layout((Slot("item", 4, 0, 9),), (), {}, {4: 9}, ()), 1, 0.1, config, "cpu")
