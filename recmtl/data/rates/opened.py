"""Opened rates: a folder of states, of all days or of one."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from recmtl.data.rates.states import Rated, State, states_of
from recmtl.errors import RecmtlError
from recmtl.folder import read_manifest, write_folder


@dataclass(frozen=True)
class Rates:
    """A whole folder of states, see `recmtl.data.rates.write`."""

    folder: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> "Rates":
        """The folder of all days, or `…/dt=DAY`. Raises RecmtlError where it is missing or unfinished."""
        folder = Path(folder)
        if not folder.name.startswith("dt="):
            return cls(folder, read_manifest(folder))
        manifest, day = read_manifest(folder.parent), folder.name.removeprefix("dt=")
        if day not in manifest["days"]:
            raise RecmtlError("no state of this day", where=folder,
                              found=f"{min(manifest['days'])} to {max(manifest['days'])}")
        return cls(folder.parent, manifest | {"days": {day: manifest["days"][day]}})

    @property
    def keys(self) -> dict[str, str]:
        """The key columns of all states, with their types."""
        return dict(self.manifest["keys"])

    @property
    def last(self) -> date:
        """The last day of which there is a state: with it, rows that have no day are scored."""
        return date.fromisoformat(max(self.manifest["days"]))

    def files(self, state: State, days: Sequence[date] | None = None) -> list[str]:
        """A state's files, of all days by default."""
        names = self.manifest["days"] if days is None else [day.isoformat() for day in days]
        return [str(self.folder / f"dt={day}" / state.file) for day in names]

    def states(self, features: Mapping[str, Rated]) -> dict[State, dict[str, Rated]]:
        """The states that the features are read from. Raises RecmtlError where one is not here."""
        try:
            states = states_of(features, self.manifest["horizons"])
        except KeyError as error:
            raise self._other(f"no label {error}") from None
        for state in states:
            if not Path(self.files(state, [self.last])[0]).is_file():
                raise self._other(f"no {state.file}")
        return states

    def _other(self, problem: str) -> RecmtlError:
        return RecmtlError(
            f"{problem} in these rates", where=self.folder / f"dt={self.last}",
            fix="give those that were counted for the same features",
        )

    def save_last(self, folder: Path) -> None:
        """Write the state of the last day alone as a folder of its own."""
        day = self.last.isoformat()
        manifest = self.manifest | {"days": {day: self.manifest["days"][day]}}
        manifest.pop("files", None)
        with write_folder(folder, manifest) as made:
            shutil.copytree(self.folder / f"dt={day}", made / f"dt={day}")
