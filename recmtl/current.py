"""Whether the folders in OUT were made from a configuration as it is now; if not, what to type."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recmtl.data.encoding import starts
from recmtl.data.examples import Examples
from recmtl.data.settings_key import settings_key
from recmtl.data.shards import shards_key
from recmtl.data.verdict import require
from recmtl.errors import RecmtlError
from recmtl.experiment import Experiment
from recmtl.folder import digest, is_current, read_manifest

if TYPE_CHECKING:
    from recmtl.run import Prepared, Run


def open_examples(experiment: Experiment, out: Path) -> Examples:
    """OUT/examples. Raises RecmtlError where they are missing, the file said something else then, or the
    contract has errors."""
    examples = Examples.open(out / "examples")
    wanted = settings_key(experiment)
    if examples.manifest.get("settings", wanted) != wanted:
        raise _stale(examples.folder, "ingest")
    require(experiment, examples.manifest, out / "contract")
    return examples


def open_prepared(experiment: Experiment, out: Path) -> "Prepared":
    """What runs read. Raises RecmtlError where a part is missing, or older than the file or the log."""
    from recmtl.run import Prepared

    shards, examples = read_manifest(out / "shards"), open_examples(experiment, out)
    key = shards_key(
        experiment, examples.manifest["key"], shards["encoder"], experiment.train.seeds[0]
    )
    if shards["key"] != key or not is_current(out / "encoder", encoder_key(experiment, examples)):
        raise _stale(out / "shards", "encode")
    return Prepared(out / "examples", out / "encoder", out / "shards")


def check_trained(runs: Sequence["Run"], prepared: "Prepared") -> None:
    """Raise RecmtlError for a run that is missing, or was trained with other settings or data."""
    for run in runs:
        read_manifest(run.folder)
        if not is_current(run.folder, run.key(prepared.digest)):
            raise _stale(run.folder, "train")


def encoder_key(experiment: Experiment, examples: Examples) -> str:
    """What an encoder depends on."""
    return digest([
        examples.manifest["key"], experiment.data.split.model_dump(mode="json"),
        {n: f.model_dump(mode="json") for n, f in examples.features.items()},
        experiment.embedding.width, *starts.digests(experiment),
    ])


def evaluation_key(runs: Sequence["Run"], prepared: "Prepared", test: bool) -> str:
    """What an evaluation depends on."""
    return digest([[run.key(prepared.digest) for run in runs], test])


def _stale(folder: Path, step: str) -> RecmtlError:
    return RecmtlError(
        "made from other settings or data than there are now", where=folder,
        fix=f"run `recmtl {step}` again",
    )
