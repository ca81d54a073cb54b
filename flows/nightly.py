"""The flow `nightly`, the whole walk: logs, examples, shards, models, champion, scores."""

from prefect import flow

from . import steps


@flow(name="recmtl-nightly")
def nightly(
    config: str = "configs/kuairand.toml", out: str | None = None, device: steps.Device = "auto"
) -> str:
    """Ingest, train and compare, register the champion, score with it.

    Args:
        config: the problem's TOML file
        out: folder of the outputs; runs/NAME of the file where empty
        device: where to train and score
    """
    folder = steps.folder_of(config, out)
    examples = steps.ingest(config, folder)
    steps.encode(config, folder)
    steps.train(config, folder, device)
    report = steps.evaluate(config, folder, device)
    champion = steps.promote(config, folder, report)
    return str(steps.score(champion, str(examples), folder / "scores", device))
