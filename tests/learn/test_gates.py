"""Streaming gate summaries against numpy on all rows at once."""

import json

import numpy as np
import pytest
import torch
from scipy import stats

from recmtl.batch import Gate
from recmtl.errors import RecmtlError
from recmtl.learn.gates import GateAccumulator, GateSummary, gate_warnings


def numbered(weights: torch.Tensor) -> Gate:
    return Gate(weights, tuple(map(str, range(weights.shape[1]))))


def summarise(**gates: torch.Tensor) -> dict[str, GateSummary]:
    accumulator = GateAccumulator()
    accumulator.update({task: numbered(gate) for task, gate in gates.items()})
    return accumulator.summary()


def constant(*gate: float) -> torch.Tensor:
    return torch.tensor([gate] * 10)


def test_batches_add_up_to_the_whole() -> None:
    gate = torch.softmax(torch.randn(5000, 4, generator=torch.Generator().manual_seed(1)), dim=1)
    accumulator = GateAccumulator()
    for batch in gate.split(700):
        accumulator.update({"ctr": numbered(batch)})
    found, values = accumulator.summary()["ctr"], gate.double().numpy()
    assert (found.rows, found.experts) == (5000, 4)
    np.testing.assert_allclose(found.mean, values.mean(axis=0))
    np.testing.assert_allclose(found.std, values.std(axis=0))
    for level, quantile in found.quantiles.items():
        np.testing.assert_allclose(quantile, np.quantile(values, level, axis=0), atol=2e-3)
    assert found.entropy.nats == pytest.approx(stats.entropy(values, axis=1).mean())
    assert found.entropy.normalised == pytest.approx(found.entropy.nats / np.log(4))


def test_an_even_gate_has_full_entropy_and_no_warning() -> None:
    found = summarise(ctr=constant(0.25, 0.25, 0.25, 0.25))
    assert found["ctr"].entropy.normalised == pytest.approx(1.0)
    assert gate_warnings(found) == []


def test_zero_and_one_are_counted() -> None:
    found = summarise(ctr=constant(1.0, 0.0))["ctr"]
    assert found.entropy.nats == 0.0
    np.testing.assert_allclose(found.quantiles[0.5], [1.0, 0.0], atol=1e-3)


def test_an_expert_is_dead_only_when_no_task_uses_it() -> None:
    unused = constant(0.6, 0.395, 0.005)
    (found,) = gate_warnings(summarise(ctr=unused, cvr=constant(0.5, 0.495, 0.005)))
    assert "expert 2 is dead" in found
    assert gate_warnings(summarise(ctr=unused, cvr=constant(0.4, 0.4, 0.2))) == []


def test_a_collapsed_gate_is_named() -> None:
    (found,) = gate_warnings(summarise(ctr=constant(0.5, 0.5), cvr=constant(0.001, 0.999)))
    assert found.startswith("the gate of cvr has collapsed: expert 1 gets 99.9%")


def test_many_even_experts_are_not_dead_and_a_single_one_has_not_collapsed() -> None:
    assert gate_warnings(summarise(ctr=torch.full((5, 256), 1 / 256))) == []
    assert gate_warnings(summarise(ctr=torch.ones(5, 1))) == []


def test_an_expert_is_known_by_its_name_whatever_its_place() -> None:
    accumulator = GateAccumulator()
    accumulator.update({
        "ctr": Gate(constant(0.999, 0.001), ("shared", "ctr")),
        "cvr": Gate(constant(0.001, 0.499, 0.5), ("cvr", "shared", "other")),
    })
    dead_and_collapsed = gate_warnings(accumulator.summary())
    assert [line.split(":")[0] for line in dead_and_collapsed] == [
        "expert ctr is dead", "expert cvr is dead", "the gate of ctr has collapsed",
    ]


def test_a_gate_that_is_nan_is_refused() -> None:
    with pytest.raises(RecmtlError, match="'cvr'"):
        summarise(cvr=constant(float("nan"), 1.0))


def test_a_summary_is_json() -> None:
    summary = summarise(ctr=constant(0.25, 0.75))["ctr"]
    found = json.loads(json.dumps(summary.to_json()))
    assert GateSummary.from_json(found).to_json() == summary.to_json()
    assert found["mean"] == [0.25, 0.75]
    assert list(found["quantiles"]) == ["0.05", "0.25", "0.5", "0.75", "0.95"]
