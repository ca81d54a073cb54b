"""Ranking within users, from a log to a report: the terms are trained, and measured beside the AUC."""

import json
from pathlib import Path

import numpy as np
import pytest

from recmtl import pipeline
from recmtl.data.shards import Shards
from recmtl.folder import read_manifest
from recmtl.heads.measures import grouped_auc
from recmtl.run import load_scores
from tests import tiny_shop

LOSS = """
[models.esmm.loss]
ctr   = { kind = "cross_entropy", ranking = { kind = "pairwise", weight = 0.5 } }
ctcvr = { kind = "cross_entropy", ranking = { kind = "listwise", weight = 0.5 } }
"""


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny shop whose ESMM ranks clicks in pairs and conversions in lists, within users."""
    folder = tmp_path_factory.mktemp("ranked")
    config, options = tiny_shop.write(folder), pipeline.Options(device="cpu", track=False)
    text = config.read_text().replace('group = "user"', 'group = "user"\ntogether = "user"')
    plain = "loss     = { ctr = 1.0, ctcvr = 1.0 }"
    assert text.count(plain) == 1
    text = text.replace(plain, LOSS).replace("auc_valid/ctcvr", "gauc_valid/ctcvr")
    config.write_text(text)
    for step in (pipeline.ingest, pipeline.encode, pipeline.train):
        step(config, folder / "out", options)
    pipeline.evaluate(config, folder / "out", options)
    return folder / "out"


def test_its_terms_are_trained(out: Path) -> None:
    first, last = (epoch["metrics"] for epoch in read_manifest(out / "models/esmm/seed-1")["epochs"])
    for task in ("ctr", "ctcvr"):
        assert last[f"loss_train/ranking.{task}"] < first[f"loss_train/ranking.{task}"]
    (other, *_) = (epoch["metrics"] for epoch in read_manifest(out / "models/mmoe/seed-1")["epochs"])
    assert not [name for name in other if "ranking" in name]


@pytest.mark.parametrize("part", ["valid", "test"])
def test_the_report_has_the_auc_within_users(out: Path, part: str) -> None:
    report = json.loads((out / "evaluation" / "report.json").read_text())
    shards = Shards.open(out / "shards" / part)
    user = shards.keys()["user"].to_numpy()
    scored = out / "models" if part == "valid" else out / "evaluation" / "scores"
    for model in ("esmm", "mmoe"):
        scores = load_scores(scored / model / "seed-1", part)
        (line,) = [line for line in report["models"]
                   if (line["part"], line["task"], line["model"]) == (part, "ctr", model)]
        expected = grouped_auc(np.asarray(shards.labels("click")), scores["ctr"], user)
        assert line["gauc"] == pytest.approx(expected, abs=1e-9)
    assert "AUC within" in (out / "evaluation" / "report.html").read_text()
