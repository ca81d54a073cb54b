"""`make demo`: the nightly flow on the demo's log, then where to look at what it made."""

from pathlib import Path

from recmtl.demo import prepare, summary
from recmtl.progress import terminal

from .nightly import nightly


def main() -> None:
    """Prepare the log, run the flow embedded, print the comparison."""
    config, out = prepare(Path("runs"), terminal())
    nightly(str(config), str(out))
    print(summary(out))


if __name__ == "__main__":
    main()
