"""One report of a small sweep: what it says, and that it stands alone."""

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from recmtl.batch import Gate
from recmtl.evaluate.comparison import Rows, RunScores, compare
from recmtl.evaluate.gates import gate_heat_map, gate_table
from recmtl.evaluate.report import write_report
from recmtl.evaluate.sweep import PartScores, RunHistory, Sweep
from recmtl.learn.gates import GateAccumulator, GateSummary
from recmtl.learn.metrics import Part
from recmtl.schema import Task

N = 400
DRAWING = "<svg>a model</svg>"
TASKS = {
    "ctr": Task(label="click"),
    "cvr": Task(label="bought", given="click"),
    "spend": Task(label="price", type="regression"),
}


def gates(*row: float) -> dict[str, GateSummary]:
    accumulator = GateAccumulator()
    weights = {"ctr": torch.tensor([row] * 5), "cvr": torch.tensor([[0.5, 0.5]] * 5)}
    accumulator.update({task: Gate(weight, ("left", "right")) for task, weight in weights.items()})
    return accumulator.summary()


def scored(seed: int, part: Part, classes: bool = True) -> PartScores:
    random = np.random.default_rng(seed)
    click = (random.random(N) < 0.5).astype(np.float32)
    bought = click * (random.random(N) < 0.5 * classes).astype(np.float32)
    rows = Rows({"click": click, "bought": bought, "price": random.normal(size=N)})
    good = {t: (0.5 * random.random(N) + 0.4 * click).astype(np.float32) for t in TASKS}
    poor = {"ctr": random.random(N).astype(np.float32)}
    runs = [
        RunScores("<mmoe>", 1, {"ctr": "trained", "cvr": "derived"}, good),
        RunScores("click only", 1, {"ctr": "trained"}, poor),
    ]
    return PartScores(rows, runs, compare(TASKS, rows, runs, part, replicates=50))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report")
    epochs = [{"auc_valid/ctr": 0.6}, {"auc_valid/ctr": 0.7}]
    parts: dict[Part, PartScores] = {"valid": scored(1, "valid"), "test": scored(2, "test", False)}
    histories = [RunHistory("<mmoe>", 1, epochs, {"test": gates(0.999, 0.001)}, DRAWING)]
    write_report(path, Sweep("kuairand", TASKS, "auc_valid/ctr", parts, histories))
    return path


def test_json_holds_runs_champion_and_warnings(folder: Path) -> None:
    found = json.loads((folder / "report.json").read_text())
    assert found["champion"] == {"model": "<mmoe>", "seed": 1}
    lines = {(r["part"], r["task"], r["model"]) for r in found["runs"]}
    assert ("test", "cvr", "<mmoe>") in lines
    assert ("test", "cvr", "click only") not in lines
    assert [e["auc_valid/ctr"] for e in found["epochs"]] == [0.6, 0.7]
    assert any("the gate of ctr has collapsed" in w for w in found["warnings"])
    assert any("cvr has no verdict on test" in w for w in found["warnings"])
    assert {c["task"] for c in found["calibration"]} == {"ctr", "cvr"}


def test_means_over_tasks_are_in_the_glance_and_of_models_that_report_all(folder: Path) -> None:
    """On test no row is bought, so that there is no AUC of cvr and no mean."""
    report = json.loads((folder / "report.json").read_text())
    lines = {(line["part"], line["task"]): line for line in report["means"]}
    assert {line["model"] for line in report["means"]} == {"<mmoe>"}
    assert lines.keys() == {("valid", "tasks.macro"), ("valid", "tasks.weighted")}
    own = {r["task"]: r for r in report["runs"] if (r["part"], r["model"]) == ("valid", "<mmoe>")}
    mean = lines["valid", "tasks.macro"]["auc"]
    assert mean == pytest.approx((own["ctr"]["auc"] + own["cvr"]["auc"]) / 2)
    page = (folder / "report.html").read_text()
    assert "mean AUC, valid" in page and "mean AUC, test" not in page
    glance = page.split("At a glance")[1].split("</table>")[0]
    assert f"{mean:.4f}" in glance


def test_a_champion_by_a_mean_is_named_so(tmp_path: Path) -> None:
    sweep = Sweep("kuairand", TASKS, "auc_valid/tasks.macro", {"valid": scored(1, "valid")})
    found = write_report(tmp_path, sweep)
    assert found["champion"] == {"model": "<mmoe>", "seed": 1}
    value = next(line["auc"] for line in found["means"] if line["task"] == "tasks.macro")
    page = (tmp_path / "report.html").read_text()
    assert f"AUC {value:.4f} for the mean over tasks on validation" in page


def test_page_names_the_champion_and_escapes_names(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    assert "Champion: &lt;mmoe&gt; (seed 1), AUC 0." in page
    assert "<mmoe>" not in page
    assert all(f"Task {task}" in page for task in TASKS)
    assert ">worse<" in page


def test_page_stands_alone(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []
    assert "nan" not in re.sub(r'src="[^"]*"', "", page).lower()


def test_page_shows_each_model_s_drawing(folder: Path) -> None:
    shown = re.findall(r'<img class="drawn"[^>]*base64,([^"]*)"', (folder / "report.html").read_text())
    assert [base64.b64decode(data).decode() for data in shown] == [DRAWING]


def test_gate_table_has_a_line_a_task_and_expert() -> None:
    table = gate_table(gates(0.25, 0.75))
    assert [(line["task"], line["expert"]) for line in table] == [
        ("ctr", "left"), ("ctr", "right"), ("cvr", "left"), ("cvr", "right"),
    ]
    assert list(table[0]) == ["task", "expert", "mean", "std", "q05", "q25", "q50", "q75", "q95"]
    assert table[1]["mean"] == 0.75


def test_heat_map_writes_mean_and_spread_and_leaves_experts_out_of_reach_empty() -> None:
    accumulator = GateAccumulator()
    accumulator.update({
        "a": Gate(torch.tensor([[0.25, 0.75]]), ("a", "shared")),
        "b": Gate(torch.tensor([[0.2, 0.8]]), ("b", "shared")),
    })
    (axes,) = gate_heat_map(accumulator.summary(), "gates").axes
    means = {text.get_position(): text.get_text() for text in axes.texts if "±" not in text.get_text()}
    assert means == {(0, 0): "0.250", (1, 0): "0.750", (2, 1): "0.200", (1, 1): "0.800"}
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert names == ["expert a", "expert shared", "expert b"]
    assert sum(text.get_text() == "± 0.000" for text in axes.texts) == 4
