"""The limits of the contract."""

import pytest
from pydantic import ValidationError

from recmtl.schema.contract import Contract, Limits


def test_a_level_left_out_keeps_its_default() -> None:
    contract = Contract.model_validate({"drift": {"warning": 0.5}})
    assert contract.drift == Limits(note=0.1, warning=0.5)
    assert contract.leakage == Limits(warning=0.95, error=0.99)


@pytest.mark.parametrize(
    ("value", "level"),
    [(0.0, None), (1e-9, "note"), (0.01, "warning"), (0.4999, "warning"), (0.5, "error")],
)
def test_the_gravest_limit_that_is_reached(value: float, level: str | None) -> None:
    assert Contract().events.level(value) == level


def test_what_cannot_be_a_limit() -> None:
    with pytest.raises(ValidationError, match="note <= warning <= error"):
        Contract.model_validate({"drift": {"warning": 0.05}})
    with pytest.raises(ValidationError, match="Extra inputs"):
        Contract.model_validate({"drift": {"warn": 0.5}})
