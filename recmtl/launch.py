"""Training in several processes of this machine: torchrun, started and watched from here."""

import os
from collections.abc import Callable
from pathlib import Path

from recmtl.errors import RecmtlError
from recmtl.experiment import Experiment

BAD_INPUT = 2  # the exit code of a process that ended with an error of ours, which it has printed


def launched() -> bool:
    """Whether torchrun, ours or a user's, has started this process."""
    return "RANK" in os.environ


def speaks() -> bool:
    """Whether this process tells of the training: of several that train together the first one does."""
    return os.environ.get("RANK", "0") == "0"


def launch(work: Callable[[], object], processes: int, where: str | Path) -> None:
    """Call `work` in so many processes, as torchrun would; it and what it holds must be picklable.

    One that ends badly ends the others. Raises RecmtlError that says which it was, and how it ended.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    threads = max((os.cpu_count() or 1) // processes, 1)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=processes, run_id="recmtl", max_restarts=0,
        rdzv_backend="c10d", rdzv_endpoint="127.0.0.1:0", local_addr="127.0.0.1", monitor_interval=0.5,
        logs_specs=DefaultLogsSpecs(),
    )
    try:
        elastic_launch(config, _guarded)(work)
    except ChildFailedError as error:
        raise _explained(error, where) from error


def device_of_process(device: str) -> str:
    """The device of this process: its own GPU where there are GPUs for each."""
    local = os.environ.get("LOCAL_RANK")
    return f"cuda:{local}" if device == "cuda" and local is not None else device


def several(experiment: Experiment) -> bool:
    """Whether a file asks for more processes than this one."""
    return experiment.train.processes > 1 and not launched()


def _guarded(work: Callable[[], object]) -> None:
    import logging
    import sys

    logging.basicConfig(format="%(message)s")
    logging.getLogger("recmtl").setLevel(logging.INFO if speaks() else logging.ERROR)
    try:
        work()
    except RecmtlError as error:
        print(f"recmtl: process {os.environ['RANK']}: {error}", file=sys.stderr, flush=True)
        os._exit(BAD_INPUT)  # the others wait for this one: no farewell


def _explained(error: Exception, where: str | Path) -> RecmtlError:
    failures = error.failures  # type: ignore[attr-defined]
    rank, failure = min(failures.items(), key=lambda pair: pair[1].timestamp)
    code = failure.exitcode
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    return RecmtlError(
        f"process {rank} of those that train together {how}", where=where,
        fix="mend what it says above" if code == BAD_INPUT
        else "run the same command again: it goes on from the last checkpoint",
    )
