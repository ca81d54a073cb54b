"""Nothing leaks: trained on shuffled labels, no model tells a positive from a negative."""

from pathlib import Path

import pytest

from benchmarks.shuffled_labels import run


def test_every_auc_is_a_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECMTL_SYNTHETIC", "")
    lines = run(20_000, tmp_path, ["esmm", "mmoe"])
    assert {line["task"] for line in lines} == {"ctr", "cvr", "ctcvr"}
    assert {f"{line['model']} {line['task']}": line["z"] for line in lines if abs(line["z"]) > 3} == {}
