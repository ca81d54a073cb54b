"""Scales of numeric features against scikit-learn's."""

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.preprocessing import QuantileTransformer, StandardScaler

from recmtl.data import native
from recmtl.data.encoding.statistics import Scale, Scaled, fill


def fitted(values: list[float | None], transform: str) -> Scale:
    db = duckdb.connect()
    db.register("train", pd.DataFrame({"x y": pd.array(values, dtype="Float64")}))
    return Scale.fit(db, "x y", transform)


def scaled(scale: Scale, x: np.ndarray) -> np.ndarray:
    """By numpy; where C++ is compiled it gives the same to the bit, of nulls and of a slice, too."""
    plain = scale.apply(pa.array(x))
    numbers = pa.array(np.concatenate([[1.0, 2.0], x]), from_pandas=True)[2:]  # NaN is null
    out = np.full((len(x), 5), 9, dtype=np.float32)
    fill([Scaled(scale, numbers, 2, 1), Scaled(scale, numbers, 3, -1)], out)
    np.testing.assert_array_equal(out[:, [2, 1]], plain)
    np.testing.assert_array_equal(out[:, 3], plain[:, 0])
    assert (out[:, [0, 4]] == 9).all()
    return plain


@pytest.mark.skipif(not native.compiled(), reason="needs a C++ compiler with OpenMP")
@pytest.mark.parametrize("transform", ["standardise", "none"])
def test_scaling_in_one_pass_is_exact(transform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(2).normal(1e3, 7, 5000)
    x[::7], x[1::11], x[2], x[3] = np.nan, np.inf, -np.inf, -0.0
    scale, outs = fitted([1.5, 2.0, 1e3], transform), []
    for library in (native._library, lambda: None):
        monkeypatch.setattr(native, "_library", library)
        outs.append(np.empty((len(x), 2), dtype=np.float32))
        fill([Scaled(scale, pa.array(x), 0, 1)], outs[-1])
    assert outs[0].tobytes() == outs[1].tobytes()


def test_standardise_as_scikit_learn() -> None:
    x = np.random.default_rng(0).normal(5, 3, 500)
    got = scaled(fitted(x.tolist(), "standardise"), x)
    np.testing.assert_allclose(got[:, 0], StandardScaler().fit_transform(x[:, None])[:, 0], atol=1e-6)
    assert not got[:, 1].any()


def test_log1p_is_odd_and_then_standardised() -> None:
    x = np.array([-100.0, -1.0, 0.0, 3.0, 1e6])
    y = np.sign(x) * np.log(1 + np.abs(x))
    np.testing.assert_allclose(
        scaled(fitted(x.tolist(), "log1p"), x)[:, 0], (y - y.mean()) / y.std(), rtol=1e-6
    )


@pytest.mark.parametrize("rows", [700, 5000])
def test_quantile_as_scikit_learn(rows: int) -> None:
    x = np.random.default_rng(1).exponential(2, rows)
    reference = QuantileTransformer(
        n_quantiles=min(1001, rows), output_distribution="normal", subsample=None
    ).fit(x[:, None])
    scale = fitted(x.tolist(), "quantile")
    np.testing.assert_allclose(scale.knots, reference.quantiles_[:, 0], rtol=1e-12)
    inside = np.linspace(*np.quantile(x, [0.01, 0.99]), 50)
    np.testing.assert_allclose(
        scaled(scale, inside)[:, 0], reference.transform(inside[:, None])[:, 0], atol=1e-5
    )
    assert np.isfinite(scaled(scale, np.array([-1e9, 1e9]))).all()


def test_missing_values_are_zero_with_an_indicator() -> None:
    scale = fitted([1.0, None, 3.0], "standardise")
    assert scale.known == 2
    assert scaled(scale, np.array([np.nan, 3.0])).tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("transform", ["standardise", "log1p", "quantile", "none"])
def test_constants_and_columns_without_values_stay_finite(transform: str) -> None:
    constant = scaled(fitted([2.0, 2.0], transform), np.array([2.0]))[0]
    # the engine's logarithm may differ from numpy's in the last bit
    assert constant.tolist() == pytest.approx([2 if transform == "none" else 0, 0], abs=1e-12)
    empty = fitted([None, None], transform)
    assert empty.known == 0
    assert scaled(empty, np.array([7.0, np.nan])).tolist() == [[0, 0], [0, 1]]


@pytest.mark.parametrize("transform", ["standardise", "log1p"])
def test_scales_are_the_same_in_every_run(transform: str) -> None:
    """Threads add up in another order each time: a constant, numbers far from 0, others."""
    rng, rows = np.random.default_rng(4), 300_000
    columns = {"constant": np.full(rows, 0.123456789012345), "far": 1e6 + rng.random(rows),
               "skewed": rng.exponential(3, rows)}
    db = duckdb.connect(config={"threads": 4})
    for name, numbers in columns.items():
        db.execute("CREATE OR REPLACE TABLE train AS SELECT unnest(?) AS x", [numbers])
        fits = {Scale.fit(db, "x", transform) for _ in range(8)}
        assert len(fits) == 1, f"{name}: {fits}"


def test_a_scale_survives_json() -> None:
    scale = fitted([1.0, 2.0, 5.0], "quantile")
    assert Scale.from_json(scale.to_json() | {"knots": list(scale.knots)}) == scale
