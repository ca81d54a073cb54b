"""What a person waits for: reading a file, ingest and --help load no torch, mlflow or prefect."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
REPORT = "print('HEAVY', sorted({'torch', 'mlflow', 'prefect'} & set(sys.modules)))"


def heavy(code: str) -> str:
    """The last line that a fresh Python prints: which of the heavy libraries `code` loaded."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\n{REPORT}"],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    "name",
    ["recmtl", "recmtl.schema", "recmtl.experiment", "recmtl.data.ingest", "recmtl.data.sharding",
     "recmtl.cli"],
)
def test_importing_stays_light(name: str) -> None:
    assert heavy(f"import {name}") == "HEAVY []"


def test_training_asks_for_torchrec_only_where_tables_are_sharded() -> None:
    code = "import recmtl.run\nassert not {'torchrec', 'fbgemm_gpu'} & set(sys.modules)"
    assert heavy(code) == "HEAVY ['torch']"


def test_a_fit_loads_no_sql(finished: Path, tmp_path: Path) -> None:
    """It would hold it until its end, for nothing."""
    code = f"""
from pathlib import Path
from recmtl.current import open_prepared
from recmtl.experiment import Experiment
from recmtl.run import Run, train_run
import recmtl.pipeline
experiment = Experiment.read(Path({str(finished / "shop.toml")!r}))
prepared = open_prepared(experiment, Path({str(finished / "out")!r}))
epochs = []
def listen(epoch):
    epochs.append(epoch)
    assert not {{"duckdb", "sqlglot", "recmtl.bundle"}} & set(sys.modules)
train_run(Run(experiment, "mmoe", 1, Path({str(tmp_path / "run")!r})), prepared, "cpu", listen)
assert epochs and "recmtl.bundle" in sys.modules
"""
    assert heavy(code) == "HEAVY ['torch']"


def test_a_step_loads_no_compiler() -> None:
    """It is 70 MB and a second, for nothing."""
    code = """
import torch
from recmtl.learn.optim import build_optimizers
from recmtl.learn.settings import TrainConfig
table, weight = (torch.nn.Parameter(torch.ones(3, 2)) for _ in range(2))
optimizers = build_optimizers([table], [weight], 1, [], TrainConfig(monitor="auc_valid/ctr"))
table.grad, weight.grad = torch.ones(3, 2).to_sparse(1), torch.ones(3, 2)
for optimizer in optimizers:
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.zero_grad()
assert (weight < 1).all() and (table < 1).all()
assert not {"torch._dynamo", "pandas"} & set(sys.modules)
"""
    assert heavy(code) == "HEAVY ['torch']"


@pytest.mark.parametrize(
    "arguments", [["--help"], ["ingest", "--help"], ["check", "--help"]], ids=" ".join
)
def test_help_stays_light(arguments: list[str]) -> None:
    code = f"""
sys.argv = ["recmtl", *{arguments}]
from recmtl.cli import main
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
"""
    assert heavy(code) == "HEAVY []"
