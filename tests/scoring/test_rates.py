"""A model with rates scores raw rows by the state of a day: its bundle's last, or a newer one."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from recmtl import library, pipeline
from recmtl.data.examples import Examples
from recmtl.errors import RecmtlError
from recmtl.scoring import Scorer
from tests import tiny_shop

RATES = """
[features.user_ctr]
kind = "rate"
of = ["user"]
label = "click"
[features.tags_cvr]
kind = "rate"
of = ["tags", "brand"]
label = "bought"
given = "click"
days = 2
[features.seen]
kind = "count"
of = ["city"]
"""
TASKS = ["ctr", "cvr", "ctcvr"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with shop.toml, log/ and out/ up to one trained mmoe; read only."""
    folder = tmp_path_factory.mktemp("shop")
    config = tiny_shop.write(folder)
    config.write_text(config.read_text() + RATES)
    options = pipeline.Options(models=["mmoe"], device="cpu", track=False)
    for step in (pipeline.ingest, pipeline.encode, pipeline.train):
        step(config, folder / "out", options)
    return folder


@pytest.fixture
def bundle(shop: Path) -> Path:
    return shop / "out/models/mmoe/seed-1/bundle"


@pytest.fixture
def raw(shop: Path) -> pd.DataFrame:
    return pd.read_parquet(shop / "log" / "2024-01-03.parquet")


@pytest.fixture
def evaluated(shop: Path) -> pd.DataFrame:
    """What was scored on valid, in the order of the log."""
    return pd.read_parquet(shop / "out/models/mmoe/seed-1/valid.parquet")


def of_day(shop: Path) -> Path:
    return shop / "out" / "rates" / "dt=2024-01-03"


def test_raw_rows_with_the_state_of_their_day_score_as_the_evaluation_did(
    shop: Path, bundle: Path, raw: pd.DataFrame, evaluated: pd.DataFrame
) -> None:
    scorer = Scorer.load(bundle, rates=of_day(shop))
    scores = scorer.score_frame(raw)
    np.testing.assert_allclose(scores[TASKS], evaluated[TASKS], rtol=0, atol=1e-6)
    assert set(scores["rates_day"]) == {"2024-01-03"}
    examples = pd.read_parquet(shop / "out" / "examples" / "dt=2024-01-03")
    np.testing.assert_allclose(
        scorer.score_frame(examples)[TASKS], evaluated[TASKS], rtol=0, atol=1e-6
    )


def test_a_bundle_scores_with_the_day_after_the_last(
    shop: Path, bundle: Path, raw: pd.DataFrame, evaluated: pd.DataFrame
) -> None:
    own = Scorer.load(bundle, version="shop/1").score_frame(raw)
    assert list(own) == ["impression", "user", "item", *TASKS, "model_version", "rates_day"]
    assert set(own["rates_day"]) == {"2024-01-05"}
    newest = Scorer.load(bundle, rates=shop / "out" / "rates").score_frame(raw)
    np.testing.assert_allclose(own[TASKS], newest[TASKS], rtol=0, atol=1e-6)
    assert np.abs(own[TASKS] - evaluated[TASKS]).to_numpy().max() > 1e-4


def test_files_are_stamped_with_the_day(
    shop: Path, bundle: Path, evaluated: pd.DataFrame, tmp_path: Path
) -> None:
    options = pipeline.Options(device="cpu", rates=of_day(shop))
    log = str(shop / "log" / "2024-01-03.parquet")
    pipeline.score(str(bundle), log, tmp_path / "scores", options)
    scores = pd.read_parquet(tmp_path / "scores" / "scores-00000.parquet")
    np.testing.assert_allclose(scores[TASKS], evaluated[TASKS], rtol=0, atol=1e-6)
    assert set(scores["rates_day"]) == {"2024-01-03"}
    manifest = json.loads((tmp_path / "scores" / "manifest.json").read_text())
    assert manifest["rates_day"] == "2024-01-03"


def test_a_strangers_rate_is_that_of_all(bundle: Path, raw: pd.DataFrame) -> None:
    scores = library.score(str(bundle), raw.assign(user=10**9, brand="new", tags=None))
    assert np.isfinite(scores[TASKS].to_numpy()).all()


def test_columns_are_the_rates_keys(
    shop: Path, bundle: Path, evaluated: pd.DataFrame
) -> None:
    """What MLflow's signature names, and a table of them scores; rates that are given win."""
    scorer = Scorer.load(bundle, rates=of_day(shop))
    assert not {"user_ctr", "user_ctr.n", "seen"} & set(scorer.columns)
    assert scorer.columns["tags"] == "VARCHAR[]"
    day = shop / "out" / "examples" / "dt=2024-01-03"
    table = pq.read_table(day, partitioning=None).select(list(scorer.columns))
    np.testing.assert_allclose(scorer.score(table)["ctr"], evaluated["ctr"], rtol=0, atol=1e-6)
    given = scorer.lookup.add(table)  # type: ignore[union-attr]
    other = Scorer.load(bundle)
    np.testing.assert_allclose(other.score(given)["ctr"], evaluated["ctr"], rtol=0, atol=1e-6)
    with pytest.raises(RecmtlError, match="no column 'brand'"):
        scorer.score(table.drop_columns(["brand"]))


def test_a_missing_key_is_named(bundle: Path, raw: pd.DataFrame) -> None:
    with pytest.raises(RecmtlError, match="no column 'tags'"):
        Scorer.load(bundle).score_frame(raw.drop(columns="tags"))


def test_rates_of_other_features_are_refused(shop: Path, bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(RecmtlError, match="no finished folder"):
        Scorer.load(bundle, rates=tmp_path)
    with pytest.raises(RecmtlError, match="no state of this day"):
        Scorer.load(bundle, rates=shop / "out" / "rates" / "dt=2023-01-01")
    rates = Examples.open(shop / "out" / "examples").rates
    rates.save_last(tmp_path / "other")
    (tmp_path / "other" / "dt=2024-01-05" / "user.parquet").unlink()
    with pytest.raises(RecmtlError, match=r"no user\.parquet in these rates"):
        Scorer.load(bundle, rates=tmp_path / "other")


def test_no_rows_give_no_rows(bundle: Path, raw: pd.DataFrame) -> None:
    assert Scorer.load(bundle).score_frame(raw.head(0)).shape == (0, 8)
