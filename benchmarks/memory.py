"""The memory of each step as logs and tables grow, and a run of 20M rows in 1.5 GiB.

    python benchmarks/memory.py [--w1 FOLDER] [--out FOLDER] [--under COMMAND] [--users N] [--quick]

Makes logs of W1's rows, repeated, in which each user occurs equally often; ingests, encodes, trains
MMoE on and scores each, every step in a process of its own whose memory is watched. DuckDB may take 250
MB of it. The smallest log's steps and the largest's run again under a command that makes the system
limit them: `prlimit`, which counts private memory that was asked for, whether touched or not
(and Arrow's own allocator asks for a gigabyte at once), or one that counts what is touched, such as
"systemd-run --scope -q -p MemoryMax=1536M".
"""

import argparse
import os
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measure import HERE, PEERS, RUNS, has_bf16, keep, make_log, step

LIMIT = "250MB"  # of DuckDB's, which takes what it may
STEPS = ("ingest", "encode", "train", "score")
LISTS = ["item_tags", "hist_items"]
UNDER = f"env ARROW_DEFAULT_MEMORY_POOL=system prlimit --data={3 << 29}"  # bytes: 1.5 GiB
LOGS = ((1, 1_000_000), (6, 10_000_000), (10, 1_000_000))  # how often W1's rows come, users
QUICK = ((1, 10_000), (2, 10_000))


def make(w1: Path, folder: Path, times: int, users: int) -> int:
    """W1's files without the lists, each `times` times over, with so many users in turns; all rows.

    Nearly all users come in the nine files of train, where there are more rows than users. Each
    turn begins one user later: no row is the repetition of another, as in a log.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    first = 0
    for file in sorted(w1.glob("part-*.parquet")):
        table = pq.read_table(file).drop_columns(LISTS)
        place = table.schema.get_field_index("user_id")
        with pq.ParquetWriter(folder / file.name, table.schema, compression="zstd") as writer:
            for _ in range(times):
                turns = np.arange(first, first + len(table))
                ids = (turns + turns // users) % users * 0x9E3779B1 % (1 << 40)
                writer.write_table(table.set_column(place, "user_id", pa.array(ids)))
                first += len(table)
    return first


def measure(log: Path, out: Path, under: list[str]) -> dict[str, Any]:
    """Each step on a log of its own: rows, seconds, and the most memory that it held."""
    os.environ["W1"] = str(log)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    config = out / "w1a.toml"
    limited = re.sub('memory_limit = ".*"', f'memory_limit = "{LIMIT}"', (HERE / "w1a.toml").read_text())
    config.write_text(limited)
    precision = ["--precision", "bf16"] if has_bf16() else []
    found = {name: step(name, config, out, *precision, under=under) for name in STEPS}
    shutil.rmtree(out)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--w1", type=Path, default=PEERS / "w1")
    parser.add_argument("--out", type=Path, default=RUNS / "memory")
    parser.add_argument("--under", default=UNDER)
    parser.add_argument("--users", type=int, help="of one of the logs: that one alone, which is not kept")
    parser.add_argument("--quick", action="store_true", help="two small logs, to see that it works")
    chosen = parser.parse_args()
    w1, out = chosen.w1.absolute(), chosen.out.absolute()
    make_log(w1)
    found = []
    logs = QUICK if chosen.quick else LOGS
    for times, users in logs:
        if chosen.users not in (None, users):
            continue
        log = out / "log"
        rows = make(w1, log, times, users)
        for under in ["", chosen.under] if times in (min(logs)[0], max(logs)[0]) else [""]:
            print(f"{rows:,} rows, {users:,} users {under}", flush=True)
            steps = measure(log, out / "run", shlex.split(under))
            found.append({"rows": rows, "users": users, "under": under, "steps": steps})
        shutil.rmtree(log)
        if chosen.users is None:
            keep("memory", {"logs": found})


if __name__ == "__main__":
    main()
