"""Parquet in, score files out: as many rows, in order, whole or not at all."""

import resource
import shutil
import signal
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recmtl import pipeline
from recmtl.errors import RecmtlError
from recmtl.folder import read_manifest
from recmtl.scoring import Scorer, files, score, score_files
from tests import tiny_shop

TASKS = ["ctr", "cvr", "ctcvr"]


def read(folder: Path) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(file) for file in sorted(folder.rglob("*.parquet"))])


def test_examples_score_as_the_evaluation_did_in_their_days_folders(
    finished: Path, bundle: Path, evaluated: pd.DataFrame, tmp_path: Path
) -> None:
    out = pipeline.score(str(bundle), str(finished / "out" / "examples"), tmp_path / "scores")
    assert sorted(p.name for p in out.iterdir() if p.is_dir()) == [
        f"dt=2024-01-0{day}" for day in (1, 2, 3, 4)
    ]
    np.testing.assert_allclose(read(out / "dt=2024-01-03")[TASKS], evaluated, rtol=0, atol=1e-6)
    assert read_manifest(out)["rows"] == len(read(out)) == 1600


def test_a_raw_log_scores_as_the_evaluation_did_piece_by_piece(
    finished: Path, bundle: Path, raw: pd.DataFrame, evaluated: pd.DataFrame, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files, "PIECE", 64)
    monkeypatch.setattr(score, "BATCH", 24)
    score_files(
        Scorer.load(bundle, version="v"), [finished / "log" / "2024-01-03.parquet"], tmp_path / "out"
    )
    found = read(tmp_path / "out")
    np.testing.assert_allclose(found[TASKS], evaluated, rtol=0, atol=1e-6)
    assert list(found["impression"]) == list(raw["impression"])
    written = pq.ParquetFile(tmp_path / "out" / "scores-00000.parquet")
    assert written.num_row_groups < len(raw) / 24
    assert set(found["model_version"]) == {"v"}


def test_a_row_group_is_never_held_whole(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).random(1 << 21)  # 16 MB, which nothing packs
    pq.write_table(pa.table({"x": numbers}), tmp_path / "x.parquet", row_group_size=len(numbers))
    before = pa.total_allocated_bytes()
    batches = files._open(tmp_path / "x.parquet").iter_batches(1 << 10)
    for _ in range(100):
        next(batches)
        assert pa.total_allocated_bytes() - before < 8 << 20


def test_a_side_table_knows_better_than_a_folder(
    finished: Path, bundle: Path, evaluated: pd.DataFrame, tmp_path: Path
) -> None:
    """Candidates lie in folders of anything: an age of 33 and a city that nobody lives in."""
    folder = tmp_path / "age=33" / "city=Nowhere"
    folder.mkdir(parents=True)
    shutil.copy(finished / "log" / "2024-01-03.parquet", folder)
    out = pipeline.score(str(bundle), str(folder / "*.parquet"), tmp_path / "out")
    np.testing.assert_allclose(read(out)[TASKS], evaluated, rtol=0, atol=1e-6)


def test_a_file_without_rows_gives_a_file_without_rows(
    bundle: Path, raw: pd.DataFrame, finished: Path, tmp_path: Path
) -> None:
    raw.head(0).astype({"recent": object}).to_parquet(tmp_path / "none.parquet")
    table = pq.read_table(finished / "log" / "2024-01-03.parquet").slice(0, 0)
    pq.write_table(table, tmp_path / "typed.parquet")
    out = pipeline.score(str(bundle), str(tmp_path / "*.parquet"), tmp_path / "out")
    assert [len(pd.read_parquet(f)) for f in sorted(out.glob("*.parquet"))] == [0, 0]
    assert list(read(out)) == ["impression", "user", "item", *TASKS, "model_version"]


def test_a_damaged_file_is_named_and_nothing_is_written(
    finished: Path, bundle: Path, tmp_path: Path
) -> None:
    whole = (finished / "log" / "2024-01-03.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole)
    (tmp_path / "b.parquet").write_bytes(whole[:4] + bytes(len(whole) // 2) + whole[len(whole) // 2 + 4:])
    with pytest.raises(RecmtlError, match=r"b\.parquet"):
        pipeline.score(str(bundle), str(tmp_path / "*.parquet"), tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".out.lock", "a.parquet", "b.parquet"]


def test_a_bad_value_in_the_last_rows_leaves_nothing_of_those_before(
    bundle: Path, raw: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score, "BATCH", 16)
    raw.to_parquet(tmp_path / "a.parquet")
    last = raw.index == raw.index[-1]
    raw.assign(price=np.where(last, np.inf, raw["price"])).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(RecmtlError, match="'price' is infinite") as caught:
        pipeline.score(str(bundle), str(tmp_path / "*.parquet"), tmp_path / "out")
    assert "b.parquet" in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".out.lock", "a.parquet", "b.parquet"]


def test_a_disk_that_is_full_is_named_and_nothing_is_left(
    finished: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score, "BATCH", 16)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 12, limit[1]))
    try:
        with pytest.raises(RecmtlError, match="File too large"):
            pipeline.score(str(bundle), str(finished / "log"), tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, ignored)
    assert [p.name for p in tmp_path.iterdir()] == [".out.lock"]


def test_a_model_of_other_features_is_refused(finished: Path, bundle: Path, tmp_path: Path) -> None:
    for other in ("users.parquet", "out/evaluation/scores/mmoe/seed-1/test.parquet"):
        with pytest.raises(RecmtlError, match="which the model reads"):
            pipeline.score(str(bundle), str(finished / other), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_kuairand_scores_its_raw_valid_day_as_the_evaluation_did(logs: Path, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "configs" / "kuairand.toml").read_text()
    head = text[: text.index("[models.")]
    config = tmp_path / "kuairand.toml"
    config.write_text(head.replace("/log/*.parquet", "/log/2022050[234].parquet") + """
[models.mmoe]
sharing = { kind = "mmoe", experts = 2, hidden = [8] }
loss    = { ctr = 1.0, ctcvr = 1.0 }
[train]
epochs     = 1
batch_size = 4096
monitor    = "auc_valid/ctcvr"
""")
    options = pipeline.Options(device="cpu", track=False)
    for step in (pipeline.ingest, pipeline.encode, pipeline.train):
        step(config, tmp_path / "out", options)
    run = tmp_path / "out" / "models" / "mmoe" / "seed-1"
    day = logs / "kuairand_pure" / "log" / "20220503.parquet"
    found = read(pipeline.score(str(run / "bundle"), str(day), tmp_path / "scores"))
    expected = pd.read_parquet(run / "valid.parquet")
    np.testing.assert_allclose(found[TASKS], expected[TASKS], rtol=0, atol=1e-6)
    scores = Scorer.load(run / "bundle").score_frame(pd.read_parquet(day))
    np.testing.assert_allclose(scores[TASKS], expected[TASKS], rtol=0, atol=1e-6)


def test_a_raw_log_in_folders_of_a_feature_scores_as_the_evaluation_did(
    finished: Path, tmp_path: Path
) -> None:
    """The folder's value is a column of the log, in scoring as in ingest, whatever signs it has."""
    frame = tiny_shop.log(400)
    config = tiny_shop.write(tmp_path, frame)
    for brand, rows in frame.groupby("brand", dropna=False):
        name = "__HIVE_DEFAULT_PARTITION__" if pd.isna(brand) else quote(str(brand))
        folder = tmp_path / "parts" / f"brand={name}"
        folder.mkdir(parents=True)
        rows.drop(columns="brand").to_parquet(folder / "rows.parquet", index=False)
    text = config.read_text().replace("/log/*.parquet", "/parts")
    config.write_text(text[: text.index("[models.mmoe]")] + text[text.index("[train]"):])
    options = pipeline.Options(device="cpu", track=False)
    for step in (pipeline.ingest, pipeline.encode, pipeline.train):
        step(config, tmp_path / "out", options)
    run = tmp_path / "out" / "models" / "esmm" / "seed-1"
    found = read(pipeline.score(str(run / "bundle"), str(tmp_path / "parts"), tmp_path / "scores"))
    valid = frame[frame["day"] == "2024-01-03"]["impression"]
    found = found.set_index("impression").loc[valid].sort_index()
    examples = pd.read_parquet(tmp_path / "out" / "examples" / "dt=2024-01-03")
    expected = pd.read_parquet(run / "valid.parquet").set_index(examples["impression"]).sort_index()
    np.testing.assert_allclose(found[TASKS], expected[TASKS], rtol=0, atol=1e-6)
