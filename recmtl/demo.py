"""What `make demo` runs on: KuaiRand where the public logs are at hand, else a synthetic log."""

import os
from pathlib import Path

import recmtl

SYNTHETIC_ROWS, SYNTHETIC_SEED = 400_000, 7


def prepare(folder: Path = Path("runs")) -> tuple[Path, Path]:
    """The configuration and the output folder of the demo; generates the synthetic log if needed."""
    logs = os.environ.get("RECMTL_DATA")
    if logs and (Path(logs) / "kuairand_pure").is_dir():
        return configuration("kuairand"), folder / "kuairand"
    from recmtl.data.synthetic import generate

    log = folder / "synthetic-log"
    if not (log / "manifest.json").exists():
        generate(log, SYNTHETIC_ROWS, SYNTHETIC_SEED)
    os.environ.setdefault("RECMTL_SYNTHETIC", str(log.absolute()))
    return configuration("synthetic"), folder / "synthetic"


def configuration(name: str) -> Path:
    """A configuration that comes with recmtl: from the checkout, or from the installed package."""
    package = Path(recmtl.__file__).parent
    shipped = package / "_configs" / f"{name}.toml"
    return shipped if shipped.exists() else package.parent / "configs" / f"{name}.toml"
