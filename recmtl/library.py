"""The steps for a notebook: pandas frames and paths in, a scorer, frames of scores and tables out."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from recmtl import pipeline
from recmtl.errors import RecmtlError
from recmtl.experiment import Experiment
from recmtl.folder import write_folder
from recmtl.pipeline import DEFAULTS, Options

if TYPE_CHECKING:
    import pandas as pd

    from recmtl.scoring import Scorer

UNTRACKED = Options(track=False)


def load(model: str | Path, options: Options = DEFAULTS, root: str | Path | None = None) -> "Scorer":
    """The scorer of "models:/NAME@champion" or of a bundle's folder.

    `root` is the folder that relative paths of side tables are relative to. Raises RecmtlError where
    there is no such model, or where it scores its golden rows differently.
    """
    return pipeline.load_scorer(str(model), options if root is None else replace(options, root=root))


@overload
def score(
    model: "str | Path | Scorer", rows: "pd.DataFrame", *, root: str | Path | None = None
) -> "pd.DataFrame": ...
@overload
def score(
    model: "str | Path | Scorer", rows: str | Path, out: str | Path, root: str | Path | None = None
) -> Path: ...
def score(
    model: "str | Path | Scorer", rows: "pd.DataFrame | str | Path", out: str | Path | None = None,
    root: str | Path | None = None,
) -> "pd.DataFrame | Path":
    """Score rows as the log or examples have them.

    A frame of N rows gives a frame of N rows with its index: keys, a score a task (a probability or a
    value in the label's unit, float32; an array of several) and `model_version`. Parquet (a file, a
    folder or a glob) gives the folder `out` of such files. `root` is as in `load`. Raises RecmtlError
    naming a column that does not fit.
    """
    from recmtl.scoring import score_files

    if isinstance(model, str | Path):
        scorer = load(model, root=root)
    else:
        scorer = model if root is None else replace(model, root=Path(root))
    if isinstance(rows, str | Path):
        if out is None:
            raise RecmtlError("files are scored into a folder", where=rows, fix="give out=FOLDER")
        return score_files(scorer, pipeline.find_parquet(str(rows)), Path(out))
    if out is not None:
        raise RecmtlError(
            "a frame is scored into a frame", where=out, fix="drop out=…, or write the frame"
        )
    return scorer.score_frame(rows)


def fit(
    frame: "pd.DataFrame", config: dict[str, Any] | str | Path, out: str | Path,
    options: Options = UNTRACKED,
) -> tuple["Scorer", dict[str, Any]]:
    """Train every model of a configuration on a log held in a frame; returns the winner and the report.

    The frame is written into OUT/log, which takes the place of `data.impressions.path`; the steps
    follow into OUT. A dict is a configuration file's content, with paths relative to the working
    directory. The winner is the best on valid. Raises RecmtlError for input that cannot be used.
    """
    out = Path(out)
    experiment = _over(config, write_log(frame, out / "log"))
    for step in (pipeline.ingest, pipeline.encode, pipeline.train):
        step(experiment, out, options)
    report = pipeline.evaluate(experiment, out, options)
    winner = report["champion"]
    bundle = out / "models" / winner["model"] / f"seed-{winner['seed']}" / "bundle"
    return load(bundle, options, experiment.root), report


def write_log(frame: "pd.DataFrame", folder: Path) -> Path:
    """Write a frame, without its index, as the one file of a log; returns the file."""
    import pyarrow as pa

    name = f"{folder.name}.parquet"
    with write_folder(folder, {"rows": len(frame)}) as made:
        try:
            frame.to_parquet(made / name, index=False)
        except (pa.ArrowException, ValueError) as error:
            raise RecmtlError(f"cannot be written as Parquet: {error}", where="the frame") from error
    return folder.absolute() / name


def per_task(report: dict[str, Any], runs: bool = False) -> "pd.DataFrame":
    """A report's per-task table: a row a part, task and model with the mean over seeds.

    With `runs`, a row a part, task, model and seed. Metrics that are not defined are null.
    """
    import pandas as pd

    return pd.DataFrame(report["runs" if runs else "models"])


def _over(config: dict[str, Any] | str | Path, log: Path) -> Experiment:
    """The configuration with another log."""
    if not isinstance(config, dict):
        read = Experiment.read(config)
        source = read.data.impressions.model_copy(update={"path": str(log)})
        return read.model_copy(update={"data": read.data.model_copy(update={"impressions": source})})
    data = config.get("data", {})
    impressions = {**data.get("impressions", {}), "path": str(log)}
    return Experiment.parse({**config, "data": {**data, "impressions": impressions}}, Path.cwd())
