"""Rows as a log has them score as they did in the evaluation; what does not fit is named."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recmtl import library, pipeline
from recmtl.data import duck
from recmtl.errors import RecmtlError
from recmtl.scoring import Scorer
from tests import tiny_shop
from tests.scoring.conftest import Changed

TASKS = ["ctr", "cvr", "ctcvr"]
Change = Callable[[pd.DataFrame], pd.DataFrame]


def same(scores: pd.DataFrame, evaluated: pd.DataFrame) -> None:
    np.testing.assert_allclose(scores[TASKS], evaluated[TASKS], rtol=0, atol=1e-6)


def refused(bundle: Path, frame: pd.DataFrame, root: Path | None = None) -> str:
    with pytest.raises(RecmtlError) as caught:
        Scorer.load(bundle, root=root).score_frame(frame)
    return str(caught.value)


def test_a_raw_frame_scores_as_the_evaluation_did(
    bundle: Path, raw: pd.DataFrame, evaluated: pd.DataFrame
) -> None:
    scores = Scorer.load(bundle, version="shop/3").score_frame(raw)
    assert list(scores) == ["impression", "user", "item", *TASKS, "model_version"]
    same(scores, evaluated)
    assert set(scores["model_version"]) == {"shop/3"}
    keys = ["impression", "user", "item"]
    pd.testing.assert_frame_equal(scores[keys], raw[keys])


def test_layers_in_bf16_score_nearly_the_same(
    bundle: Path, raw: pd.DataFrame, evaluated: pd.DataFrame
) -> None:
    half = library.load(bundle, pipeline.Options(device="cpu", precision="bf16"))
    scores = half.score_frame(raw)
    difference = (scores[TASKS] - evaluated[TASKS]).abs().to_numpy()
    assert 1e-6 < difference.max() < 0.02


def test_a_frame_of_examples_scores_the_same(
    finished: Path, bundle: Path, evaluated: pd.DataFrame
) -> None:
    examples = pd.read_parquet(finished / "out" / "examples" / "dt=2024-01-03")
    same(Scorer.load(bundle).score_frame(examples), evaluated)


def test_the_index_and_the_order_of_a_frame_are_kept(
    bundle: Path, raw: pd.DataFrame, evaluated: pd.DataFrame
) -> None:
    order = np.random.default_rng(0).permutation(len(raw))
    shuffled = raw.iloc[order].set_index(pd.Index([f"row {i}" for i in order]))
    scores = Scorer.load(bundle).score_frame(shuffled)
    assert list(scores.index) == list(shuffled.index)
    same(scores, evaluated.iloc[order])


WRITTEN_OTHERWISE: dict[str, Change] = {
    "ids as nullable integers": lambda f: f.astype({"item": "Int64", "user": "UInt16"}),
    "ids as whole floats": lambda f: f.astype({"user": "float64", "item": "float32"}),
    "strings as categories": lambda f: f.astype({"brand": "category", "tags": "category"}),
    "numbers as floats": lambda f: f.astype({"price": "float32"}),
    "strings as objects": lambda f: f.astype({"brand": object}),
    "a list where a string was": lambda f: f.assign(
        tags=[[word.strip() for word in tags.split(",") if word.strip()] for tags in f["tags"]]
    ),
    "labels and outcomes left out": lambda f: f.drop(columns=["clicked", "bought", "seconds"]),
    "nonsense among labels and outcomes": lambda f: f.assign(clicked="?", bought=7, seconds=None),
    "side columns given": lambda f: f.merge(tiny_shop.users(), on="user", how="left"),
}


@pytest.mark.parametrize("change", WRITTEN_OTHERWISE.values(), ids=WRITTEN_OTHERWISE)
def test_types_that_mean_the_same_score_the_same(
    bundle: Path, raw: pd.DataFrame, evaluated: pd.DataFrame, change: Change
) -> None:
    same(Scorer.load(bundle).score_frame(change(raw)), evaluated)


@pytest.mark.parametrize("change", WRITTEN_OTHERWISE.values(), ids=WRITTEN_OTHERWISE)
def test_rows_that_need_no_join_score_as_sql_reads_them(
    bundle: Path, raw: pd.DataFrame, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer, joined = Scorer.load(bundle), change(raw)
    if "age" not in joined:
        joined = joined.merge(tiny_shop.users(), on="user", how="left")
    direct = scorer.score_frame(joined)
    monkeypatch.setattr("recmtl.data.candidates.as_they_are", lambda *given: None)
    pd.testing.assert_frame_equal(direct, scorer.score_frame(joined), rtol=0, atol=1e-7)


def test_a_column_of_the_input_wins_over_the_side_table(bundle: Path, raw: pd.DataFrame) -> None:
    scorer = Scorer.load(bundle)
    joined = raw.merge(tiny_shop.users(), on="user", how="left")
    other = scorer.score_frame(joined.assign(age=99.0))
    assert np.abs(other["ctr"] - scorer.score_frame(joined)["ctr"]).max() > 1e-4


def test_a_user_without_a_row_reads_nulls(bundle: Path, raw: pd.DataFrame) -> None:
    scorer, stranger = Scorer.load(bundle), raw.assign(user=99_999)
    given = scorer.score_frame(stranger.assign(age=np.nan, city=None))
    np.testing.assert_allclose(scorer.score_frame(stranger)["ctr"], given["ctr"], atol=1e-6)


def test_no_rows_give_no_rows(bundle: Path, raw: pd.DataFrame) -> None:
    scores = Scorer.load(bundle).score_frame(raw.head(0))
    assert scores.shape == (0, 7)


def test_columns_without_values_are_null_whatever_their_type(bundle: Path, raw: pd.DataFrame) -> None:
    empty = raw.assign(brand=None, item=None, price=None, recent=[[]] * len(raw))
    typed = raw.assign(
        brand=pd.Series([None] * len(raw), dtype="string"), item=np.nan, price=np.nan,
        recent=pd.Series([None] * len(raw), dtype=object),
    )
    scorer = Scorer.load(bundle)
    same(scorer.score_frame(empty), scorer.score_frame(typed))


BAD: dict[str, tuple[Change, list[str]]] = {
    "a missing column": (lambda f: f.drop(columns="brand"), ["no column 'brand'", "the frame"]),
    "a missing key of a side table": (lambda f: f.drop(columns="user"), ["no column", "user"]),
    "a string for an id": (lambda f: f.assign(item="x"), ["'item' has type VARCHAR", "BIGINT"]),
    "an id for a string": (lambda f: f.assign(brand=3), ["'brand' has type BIGINT", "VARCHAR"]),
    "a string for a number": (lambda f: f.assign(price="3"), ["'price' has type VARCHAR", "a number"]),
    "a number for a list": (lambda f: f.assign(recent=3), ["'recent' has type BIGINT", "a list"]),
    "a broken id": (lambda f: f.assign(item=7.5), ["'item' is not a whole number", "7.5"]),
    "an infinite number": (lambda f: f.assign(price=np.inf), ["'price' is infinite"]),
    "a vector of another size": (
        lambda f: f.assign(image=[[1.0, 2.0, 3.0]] * len(f)), ["'image' has not 2 numbers"]
    ),
    "a column twice": (lambda f: pd.concat([f, f[["brand"]]], axis=1), ["'brand' stands there twice"]),
    "several types": (
        lambda f: f.assign(brand=[1, *["x"] * (len(f) - 1)]), ["'brand' holds values of several types"]
    ),
}


@pytest.mark.parametrize(("change", "says"), BAD.values(), ids=BAD)
def test_what_does_not_fit_is_named(
    bundle: Path, raw: pd.DataFrame, change: Change, says: list[str]
) -> None:
    message = refused(bundle, change(raw))
    assert [part for part in says if part not in message] == []


@pytest.mark.parametrize(("change", "says"), BAD.values(), ids=BAD)
def test_what_does_not_fit_is_named_where_nothing_is_joined(
    bundle: Path, raw: pd.DataFrame, change: Change, says: list[str]
) -> None:
    users = raw[["user"]].merge(tiny_shop.users(), on="user", how="left")
    message = refused(bundle, change(raw.assign(age=users["age"], city=users["city"])))
    assert [part for part in says if part not in message] == []


def test_a_side_table_with_a_key_twice_is_refused(
    changed: Changed, raw: pd.DataFrame, tmp_path: Path
) -> None:
    users = tiny_shop.users()
    pd.concat([users, users.head(1)]).to_parquet(tmp_path / "twice.parquet")
    assert "more than once" in refused(changed("path", str(tmp_path / "twice.parquet")), raw)


def test_a_missing_side_table_is_named(changed: Changed, raw: pd.DataFrame, tmp_path: Path) -> None:
    assert "gone.parquet" in refused(changed("path", str(tmp_path / "gone.parquet")), raw)


def test_variables_in_a_side_tables_path_are_filled_in_here(
    changed: Changed, finished: Path, raw: pd.DataFrame, evaluated: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle = changed("path", "${SHOP_TABLES}/users.parquet")
    assert "SHOP_TABLES is not set" in refused(bundle, raw)
    monkeypatch.setenv("SHOP_TABLES", str(finished))
    same(Scorer.load(bundle).score_frame(raw), evaluated)


def test_a_relative_side_table_needs_a_root_unless_nothing_is_joined(
    changed: Changed, finished: Path, raw: pd.DataFrame, evaluated: pd.DataFrame
) -> None:
    bundle = changed("path", "users.parquet")
    message = refused(bundle, raw)
    assert "relative" in message and "age, city" in message and "--root FOLDER" in message
    same(Scorer.load(bundle, root=finished).score_frame(raw), evaluated)
    same(library.score(bundle, raw, root=finished), evaluated)
    same(library.score(Scorer.load(bundle), raw, root=finished), evaluated)
    joined = raw.merge(tiny_shop.users(), on="user", how="left")
    same(Scorer.load(bundle).score_frame(joined), evaluated)


def _spilled(
    changed_: Changed, spill: str, monkeypatch: pytest.MonkeyPatch, **given: Path
) -> set[object]:
    """The folders that a scorer's databases spill to, where the file says `spill`."""
    folders: list[object] = []

    def connect(limit: str | None, spill: Path | None) -> object:
        folders.append(spill)
        return duck.connect(limit, spill)

    monkeypatch.setattr("recmtl.data.candidates.connect", connect)
    bundle = changed_("side", "user")
    description = json.loads((bundle / "experiment.json").read_text())
    description["experiment"]["data"]["spill"] = spill
    (bundle / "experiment.json").write_text(json.dumps(description))
    Scorer.load(bundle, **given).score_frame(tiny_shop.log(8))
    return set(folders)


def test_scoring_spills_where_the_file_says(
    changed: Changed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "large"
    assert _spilled(changed, str(folder), monkeypatch) == {folder}
    assert folder.is_dir()


def test_a_relative_spill_is_meant_below_the_root(
    changed: Changed, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _spilled(changed, "large", monkeypatch, root=tmp_path) == {tmp_path / "large"}


@pytest.mark.parametrize("spill", ["large", "${NO_SUCH_DISK}/large", "/dev/null/large"])
def test_a_spill_that_this_machine_has_not_is_the_systems(
    changed: Changed, spill: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _spilled(changed, spill, monkeypatch) == {None}
