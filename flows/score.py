"""The flow `score`: a registered model over Parquet files."""

from pathlib import Path

from prefect import flow

from . import steps


@flow(name="recmtl-score")
def score(
    model: str, inputs: str, out: str, device: steps.Device = "auto", rates: str | None = None,
    root: str | None = None, precision: steps.Precision = "fp32",
) -> str:
    """A score per task for every row.

    Args:
        model: models:/NAME@champion, models:/NAME/VERSION or the folder of a bundle or run
        inputs: Parquet: a file, a folder or a glob
        out: folder of the scores
        device: where to score
        rates: OUT/rates, or a day's folder in it; the model's own where empty
        root: where relative paths of the model's file start
        precision: of the layers; bf16 is faster
    """
    return str(steps.score(model, inputs, Path(out), device, rates, root, precision))
