"""Ingests that are killed at random moments, and what the next one makes of it.

    python benchmarks/kill_ingest.py [--folder FOLDER] [--rows 200000] [--kills 20]

Logs of ten days are ingested; then an eleventh arrives, with late orders, and its ingest is killed again
and again, with a memory limit so low that it spills. After each kill the folder must hold whole days,
and after the last the next run must give row for row what an undisturbed one gives, and leave nothing
else, neither beside the folder nor in the temporary one.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl

from benchmarks.arrivals import make

HERE = Path(__file__).parent
MEMORY = "150MB"


def start(config: Path, out: Path, scratch: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "recmtl.cli", "ingest", str(config), "--out", str(out)]
    return subprocess.Popen(
        command, cwd=HERE.parent, env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )


def content(examples: Path) -> pl.DataFrame:
    """All rows, whichever numbers their files have."""
    rows = pl.read_parquet(examples / "dt=*" / "*.parquet", hive_partitioning=True)
    return rows.drop("_file").sort("id", "_row")


def stands(out: Path) -> Path:
    """The examples, or where a kill between two renames left them until the next run."""
    return next(p for p in (out / "examples", out / ".examples.old") if p.exists())


def kill(config: Path, out: Path, scratch: Path, after: float) -> int | None:
    """Kill a run so many seconds after its start; its exit code, None where it was over by then."""
    child = start(config, out, scratch)
    time.sleep(after)
    child.send_signal(signal.SIGKILL)
    code = child.wait()
    return None if code == 0 else code


def prepare(root: Path, rows: int) -> tuple[Path, Path]:
    """Ten days ingested, an eleventh that arrived since; the configuration and the examples' folder."""
    shutil.rmtree(root, ignore_errors=True)
    (root / "tmp").mkdir(parents=True)
    config = make(root / "shop", 10, rows)
    limited = config.read_text().replace("[data]", f'[data]\nmemory_limit = "{MEMORY}"', 1)
    config.write_text(limited)
    assert start(config, root / "before", root / "tmp").wait() == 0
    make(root / "shop", 11, rows)
    config.write_text(limited)
    return config, root / "before"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=HERE / ".peers" / "killed")
    parser.add_argument("--rows", type=int, default=200_000, help="impressions a day")
    parser.add_argument("--kills", type=int, default=20)
    chosen = parser.parse_args()
    root, draw = chosen.folder.absolute(), random.Random(7)
    config, before = prepare(root, chosen.rows)
    scratch, out = root / "tmp", root / "out"
    shutil.copytree(before, out)
    begin = time.perf_counter()
    assert start(config, out, scratch).wait() == 0
    takes = time.perf_counter() - begin
    whole, ten = content(out / "examples"), content(before / "examples")
    print(f"undisturbed: {takes:.1f} s, {len(whole):,} rows", flush=True)
    found = whole
    for number in range(1, chosen.kills + 1):
        if found.equals(whole):
            shutil.rmtree(out)
            shutil.copytree(before, out)
        after = draw.uniform(0, takes)
        code = kill(config, out, scratch, after)
        found = content(stands(out))
        assert found.equals(ten) or found.equals(whole), "half a state"
        print(f"kill {number}: after {after:.1f} s, {'over by then' if code is None else 'killed'}, "
              f"{'ten' if found.equals(ten) else 'eleven'} days whole", flush=True)
    assert start(config, out, scratch).wait() == 0
    assert content(out / "examples").equals(whole), "other rows than an undisturbed run"
    left = [*(f for f in out.glob(".*") if f.suffix != ".lock"), *scratch.iterdir()]
    assert not left, f"left over: {left}"
    print("the next run: row for row as undisturbed, nothing left over")


if __name__ == "__main__":
    main()
