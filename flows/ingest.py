"""The flow `ingest`: a configuration's logs become examples."""

from prefect import flow

from . import steps


@flow(name="recmtl-ingest")
def ingest(
    config: str = "configs/kuairand.toml", out: str | None = None, as_of: str | None = None,
    first: str | None = None, last: str | None = None,
) -> str:
    """Logs to examples.

    Args:
        config: the problem's TOML file
        out: folder of the outputs; runs/NAME of the file where empty
        as_of: what was known then, e.g. 2026-03-11T00:00:00Z; the file's where empty
        first: first day that may be written, e.g. 2026-03-11
        last: last day that may be written
    """
    return str(steps.ingest(config, steps.folder_of(config, out), as_of, first, last))
