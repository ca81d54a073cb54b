"""The flow `nightly`, the whole walk: logs, examples, shards, models, champion, scores."""

from prefect import flow

from . import steps


@flow(name="recmtl-nightly")
def nightly(
    config: str = "configs/kuairand.toml", out: str | None = None, device: steps.Device = "auto",
    as_of: str | None = None, first: str | None = None, last: str | None = None,
    rates: str | None = None,
) -> str:
    """Ingest, train and compare, register the champion, score with it.

    Args:
        config: the problem's TOML file
        out: folder of the outputs; runs/NAME of the file where empty
        device: where to train and score
        as_of: what was known then; empty: the file's, else with events the time that the run was due
        first: first day that may be written, e.g. 2026-03-11
        last: last day that may be written
        rates: what to score with, OUT/rates or a day's folder in it; the model's own where empty
    """
    folder = steps.folder_of(config, out)
    examples = steps.ingest(config, folder, as_of or steps.known_at(config), first, last)
    steps.encode(config, folder)
    steps.train(config, folder, device)
    report = steps.evaluate(config, folder, device)
    champion = steps.promote(config, folder, report)
    return str(steps.score(champion, str(examples), folder / "scores", device, rates))
