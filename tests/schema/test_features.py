"""From patterns and names to one feature a column."""

import pytest

from recmtl.errors import RecmtlError
from recmtl.schema import Categorical, Cross, Numeric, resolve_features
from recmtl.schema.features import columns_of

COLUMNS = ["user", "hot_1", "hot_2", "hot_like", "is_like"]
FORBIDDEN = {"hot_like": "an outcome ([data] outcomes)", "is_like": "an input of the label 'like'"}


def test_a_pattern_names_every_column_that_may_be_a_feature() -> None:
    resolved = resolve_features({"hot_*": Categorical(min_count=3)}, COLUMNS, FORBIDDEN)
    assert resolved == {"hot_1": Categorical(min_count=3), "hot_2": Categorical(min_count=3)}


@pytest.mark.parametrize("named_first", [True, False])
def test_a_feature_named_outright_wins_over_a_pattern(named_first: bool) -> None:
    both = {"hot_1": Numeric(), "hot_*": Categorical()}
    features = both if named_first else dict(reversed(both.items()))
    resolved = resolve_features(features, COLUMNS, FORBIDDEN)
    assert resolved == {"hot_1": Numeric(), "hot_2": Categorical()}


def test_a_forbidden_column_named_outright_is_refused_with_the_reason() -> None:
    with pytest.raises(RecmtlError, match="an input of the label 'like'"):
        resolve_features({"is_like": Categorical()}, COLUMNS, FORBIDDEN)
    with pytest.raises(RecmtlError, match=r"an outcome"):
        resolve_features({"x": Cross(of=("user", "hot_like"))}, COLUMNS, FORBIDDEN)
    with pytest.raises(RecmtlError, match="the model would read the answer"):
        resolve_features({"innocent": Numeric(column="is_like")}, COLUMNS, FORBIDDEN)


def test_a_missing_column_is_named_with_the_nearest() -> None:
    with pytest.raises(RecmtlError, match="did you mean 'user'"):
        resolve_features({"usr": Categorical()}, COLUMNS, FORBIDDEN)


@pytest.mark.parametrize("pattern", ["cold_*", "is_*", "*_lik?"])
def test_a_pattern_without_a_column_is_refused(pattern: str) -> None:
    with pytest.raises(RecmtlError, match="matches no column"):
        resolve_features({pattern: Categorical()}, COLUMNS, FORBIDDEN)


def test_the_columns_that_a_feature_reads() -> None:
    assert columns_of("a", Categorical()) == ("a",)
    assert columns_of("a", Categorical(column="b")) == ("b",)
    assert columns_of("a", Cross(of=("b", "c"))) == ("b", "c")
