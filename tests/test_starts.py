"""A file of embeddings, from the configuration to a bundle that does without it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from recmtl import pipeline
from recmtl.bundle import Bundle
from recmtl.errors import RecmtlError
from recmtl.experiment import Experiment
from recmtl.pipeline import Options
from tests import tiny_shop

QUIET = Options(device="cpu", track=False, models=["mmoe"])
ITEMS = [*range(1000, 1014), 5]  # one of the fifteen is missing, one is none


def write_embeddings(folder: Path, scale: float) -> np.ndarray:
    values = np.arange(len(ITEMS) * 16, dtype=np.float32).reshape(-1, 16) * np.float32(scale)
    vectors = pa.FixedSizeListArray.from_arrays(values.reshape(-1), 16)
    pq.write_table(pa.table({"item": ITEMS, "embedding": vectors}), folder / "emb.parquet")
    return values


def shop(folder: Path, freeze: str) -> Path:
    file = tiny_shop.write(folder)
    given = f'item   = {{ kind = "categorical", min_count = 2, init = "emb.parquet", freeze = {freeze} }}'
    text = file.read_text().replace('item   = { kind = "categorical", min_count = 2 }', given)
    file.write_text(text.replace('monitor ', 'table_l2 = 0.01\nmonitor '))
    return file


def test_from_a_file_of_embeddings_to_a_bundle_without_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config, out = shop(tmp_path, "true"), tmp_path / "out"
    pipeline.ingest(config, out, QUIET)
    with pytest.raises(RecmtlError, match=r"\[features\] item: init: there is no such file"):
        pipeline.encode(config, out, QUIET)
    assert not (out / "encoder").exists()
    values = write_embeddings(tmp_path, 0.01)
    pipeline.encode(config, out, QUIET)
    assert "1 of 15 values of emb.parquet are not in the vocabulary" in caplog.text
    assert "1 of the vocabulary's 15 values are not in emb.parquet" in caplog.text
    (folder,) = pipeline.train(config, out, QUIET)

    bundle = Bundle.load(folder / "bundle")
    slot = next(slot for slot in bundle.encoder.layout.slots if slot.name == "item")
    rows = slot.first + bundle.encoder.fitted.vocabularies["item"].rows(pa.array(ITEMS[:-1]))
    table = load_file(folder / "bundle" / "weights.safetensors")["embedding.tables.16"]
    assert np.array_equal(table[rows], values[:-1])  # after two epochs, to the bit
    (missing,) = slot.first + bundle.encoder.fitted.vocabularies["item"].rows(pa.array([1014]))
    assert np.abs(table[missing]).max() > 0.05  # drawn with deviation .01, it has learned

    write_embeddings(tmp_path, 0.02)
    with pytest.raises(RecmtlError, match="recmtl encode"):
        pipeline.train(config, out, QUIET)
    (tmp_path / "emb.parquet").unlink()
    assert not list((folder / "bundle").rglob("starts"))
    again = Bundle.load(folder / "bundle")
    golden = pq.read_table(folder / "bundle" / "golden_rows.parquet")
    assert again.score(golden)["ctr"].tolist() == bundle.score(golden)["ctr"].tolist()


def test_without_freeze_they_are_where_training_begins(tmp_path: Path) -> None:
    config, out = shop(tmp_path, "false"), tmp_path / "out"
    values = write_embeddings(tmp_path, 0.01)
    for step in (pipeline.ingest, pipeline.encode):
        step(config, out, QUIET)
    (folder,) = pipeline.train(config, out, QUIET)
    bundle = Bundle.load(folder / "bundle")
    slot = next(slot for slot in bundle.encoder.layout.slots if slot.name == "item")
    rows = slot.first + bundle.encoder.fitted.vocabularies["item"].rows(pa.array(ITEMS[:-1]))
    table = load_file(folder / "bundle" / "weights.safetensors")["embedding.tables.16"]
    moved = np.abs(table[rows] - values[:-1]).max(1)
    assert (moved > 0).all()
    assert np.corrcoef(table[rows].reshape(-1), values[:-1].reshape(-1))[0, 1] > 0.5


def test_what_a_file_cannot_start_is_refused_when_it_is_read(tmp_path: Path) -> None:
    config = shop(tmp_path, "true")
    text = config.read_text()
    config.write_text(text.replace("[train]", '[train]\nsharded_tables = "planned"'))
    with pytest.raises(RecmtlError, match=r"sharded_tables: their rows are drawn; drop features\.item\."):
        Experiment.read(config)
    config.write_text(text.replace("item   = {", '"it*" = {'))
    with pytest.raises(RecmtlError, match=r"features\.it\*: init is of one feature: no pattern"):
        Experiment.read(config)
