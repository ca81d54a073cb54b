"""Where the files of a day lie: a folder of outputs and a day go in, a folder or its files come out."""

from pathlib import Path

UNDATED = "undated"  # in place of a day, where rows have none


def day_folder(folder: Path, day: str) -> Path:
    """The day's own folder."""
    return folder / (day if day == UNDATED else f"dt={day}")


def day_files(folder: Path, day: str) -> list[str]:
    """Its Parquet files, in the order of their rows."""
    return [str(file) for file in sorted(day_folder(folder, day).glob("*.parquet"))]
