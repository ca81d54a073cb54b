"""What `make demo` runs on: KuaiRand where the public logs are at hand, else a synthetic log."""

import json
import os
from pathlib import Path

import recmtl
from recmtl import pipeline
from recmtl.describe import per_task_text
from recmtl.folder import read_manifest
from recmtl.progress import SILENT, Progress

SYNTHETIC_ROWS, SYNTHETIC_SEED = 400_000, 7


def prepare(folder: Path, progress: Progress = SILENT) -> tuple[Path, Path]:
    """The configuration and the output folder of the demo; generates the synthetic log if needed."""
    logs = os.environ.get("RECMTL_DATA")
    if logs and (Path(logs) / "kuairand_pure").is_dir():
        return configuration("kuairand"), folder / "kuairand"
    from recmtl.data.synthetic import generate

    log = folder / "synthetic-log"
    if not (log / "manifest.json").exists():
        generate(log, SYNTHETIC_ROWS, SYNTHETIC_SEED, progress=progress)
    os.environ.setdefault("RECMTL_SYNTHETIC", str(log.absolute()))
    return configuration("synthetic"), folder / "synthetic"


def run_demo(progress: Progress = SILENT) -> None:
    """All steps of the main job without Prefect."""
    config, out = prepare(Path("runs"), progress)
    options = pipeline.Options(progress=progress)
    examples = pipeline.ingest(config, out, options)
    pipeline.encode(config, out, options)
    pipeline.train(config, out, options)
    pipeline.evaluate(config, out, options)
    champion = pipeline.promote(config, out, options)
    pipeline.score(champion["uri"], str(examples), out / "scores", options)
    print(summary(out))


def summary(out: Path) -> str:
    """What a finished walk found, and where to look at it."""
    report = json.loads((out / "evaluation" / "report.json").read_text())
    scored = read_manifest(out / "scores")
    return "\n".join([
        per_task_text(report), "",
        f"champion  models:/{report['name']}@champion is {scored['model']}",
        f"scores    {out / 'scores'}: {scored['rows']:,} rows",
        f"report    {out / 'evaluation' / 'report.html'}",
        "MLflow    .venv/bin/mlflow ui --backend-store-uri sqlite:///mlflow.db",
    ])


def configuration(name: str) -> Path:
    """A configuration that comes with recmtl: from the checkout, or from the installed package."""
    package = Path(recmtl.__file__).parent
    shipped = package / "_configs" / f"{name}.toml"
    return shipped if shipped.exists() else package.parent / "configs" / f"{name}.toml"
