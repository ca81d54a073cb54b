"""The flow `train`: examples become shards, shards become models, and the best one champion."""

from prefect import flow

from . import steps


@flow(name="recmtl-train")
def train(
    config: str = "configs/kuairand.toml", out: str | None = None, device: steps.Device = "auto"
) -> str:
    """Encode, train, compare and promote; needs the examples of the flow `ingest`.

    Args:
        config: the problem's TOML file
        out: folder of the outputs; runs/NAME of the file where empty
        device: where to train
    """
    folder = steps.folder_of(config, out)
    steps.encode(config, folder)
    steps.train(config, folder, device)
    report = steps.evaluate(config, folder, device)
    return steps.promote(config, folder, report)
