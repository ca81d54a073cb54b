"""An ingest that is killed at any moment leaves the older examples, and the next one makes it good."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from polars.testing import assert_frame_equal

from tests.data.daily_logs import clicks, content, conversions, day, impressions

ROOT = Path(__file__).parent.parent.parent
KILLS = 5
RUN = """
import sys
from pathlib import Path
from recmtl.data.ingest import ingest
from tests.data.daily_logs import problem
print("begins", flush=True)
ingest(problem(Path(sys.argv[1])), Path(sys.argv[1]) / sys.argv[2])
"""


def start(root: Path, out: str) -> subprocess.Popen[str]:
    """An ingest of its own, about to begin, with a temporary folder of its own."""
    (root / "tmp").mkdir(exist_ok=True)
    child = subprocess.Popen(
        [sys.executable, "-c", RUN, str(root), out], cwd=ROOT, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(root / "tmp")},
    )
    assert child.stdout is not None and child.stdout.readline() == "begins\n"
    return child


def grow(root: Path, number: int) -> None:
    """A day more, with a late order for the day before."""
    impressions(root, number, rows=11)
    clicks(root, f"{day(number)}.parquet", [number * 100 + 1, number * 100 + 2])
    conversions(root, f"{day(number)}.parquet", [(max(number - 1, 0) * 100 + 1, 1, 2.5)])


def test_killed_at_random_moments(tmp_path: Path) -> None:
    draw, out = random.Random(3), tmp_path / "out"
    grow(tmp_path, 0)
    child, begin = start(tmp_path, "out"), time.perf_counter()
    assert child.wait() == 0
    takes, killed = time.perf_counter() - begin, 0
    for number in range(1, KILLS + 1):
        grow(tmp_path, number)
        child = start(tmp_path, "out")
        time.sleep(draw.uniform(0, takes))
        child.send_signal(signal.SIGKILL)
        killed += child.wait() == -signal.SIGKILL
        found = content(out if out.exists() else tmp_path / ".out.old")  # between its two renames
        assert set(found.group_by("dt").len()["len"]) == {11}
    assert start(tmp_path, "out").wait() == 0 and start(tmp_path, "undisturbed").wait() == 0
    assert_frame_equal(content(out), content(tmp_path / "undisturbed"))
    assert len(content(out)) == 11 * (KILLS + 1) and killed
    locks = {tmp_path / ".out.lock", tmp_path / ".undisturbed.lock"}
    assert set(tmp_path.glob(".*")) == locks and not list((tmp_path / "tmp").iterdir())
