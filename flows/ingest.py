"""The flow `ingest`: a configuration's logs become examples."""

from prefect import flow

from . import steps


@flow(name="recmtl-ingest")
def ingest(config: str = "configs/kuairand.toml", out: str | None = None) -> str:
    """Logs to examples.

    Args:
        config: the problem's TOML file
        out: folder of the outputs; runs/NAME of the file where empty
    """
    return str(steps.ingest(config, steps.folder_of(config, out)))
