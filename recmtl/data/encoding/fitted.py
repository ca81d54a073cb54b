"""What an encoder is made of, and its folder: `encoder.json` and `vocabulary/*.parquet`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import TypeAdapter

from recmtl.batch import Layout
from recmtl.data.encoding import starts
from recmtl.data.encoding.hashing import Buckets
from recmtl.data.encoding.starts import Start
from recmtl.data.encoding.statistics import Scale
from recmtl.data.vocabulary import Vocabulary
from recmtl.errors import RecmtlError
from recmtl.folder import write_file
from recmtl.schema import Feature

FILE, FOLDER, FORMAT = "encoder.json", "vocabulary", 1
Rows = Vocabulary | Buckets
_FEATURES: TypeAdapter[dict[str, Feature]] = TypeAdapter(dict[str, Feature])


@dataclass(frozen=True)
class Fitted:
    """`columns` are those read, with their types; `vocabularies` go by the feature that owns them.

    `made_from` is a digest of all that the fit depended on.
    """

    features: Mapping[str, Feature]
    columns: Mapping[str, str]
    layout: Layout
    vocabularies: Mapping[str, Rows]
    scales: Mapping[str, Scale]
    made_from: str
    warnings: tuple[str, ...] = ()
    starts: tuple[Start, ...] = ()  # of a fresh one: what was saved is loaded without them

    def owner(self, feature: str) -> str:
        """The feature whose vocabulary and table `feature` uses: itself, unless it shares."""
        return owner_of(feature, self.features)


def owner_of(name: str, features: Mapping[str, Feature]) -> str:
    """The feature whose vocabulary and table `name` uses."""
    return getattr(features[name], "share", None) or name


def save(fitted: Fitted, folder: Path) -> None:
    """Write into an existing folder."""
    (folder / FOLDER).mkdir(exist_ok=True)
    for name, vocabulary in fitted.vocabularies.items():
        if isinstance(vocabulary, Vocabulary):
            vocabulary.write(_file(folder, name))
    starts.save(fitted.starts, folder)
    content = {
        "format": FORMAT,
        "made_from": fitted.made_from,
        "columns": dict(fitted.columns),
        "features": {name: feature.model_dump() for name, feature in fitted.features.items()},
        "layout": fitted.layout.to_json(),
        "scales": {name: scale.to_json() for name, scale in fitted.scales.items()},
        "tables": {
            name: rows.count if isinstance(rows, Buckets) else None
            for name, rows in fitted.vocabularies.items()
        },
        "warnings": list(fitted.warnings),
    }
    write_file(folder / FILE, json.dumps(content, indent=1, ensure_ascii=False))


def load(folder: Path) -> Fitted:
    """What `save` wrote. Raises RecmtlError where it is missing, not whole or of another format."""
    file = folder / FILE
    try:
        content = json.loads(file.read_text())
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}, this version reads {FORMAT}")
        return _from_json(content, folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecmtlError(
            f"unreadable encoder: {error}", where=file, fix="fit and save the encoder again",
        ) from error


def _from_json(content: dict[str, Any], folder: Path) -> Fitted:
    tables: dict[str, int | None] = content["tables"]
    return Fitted(
        features=_FEATURES.validate_python(content["features"]),
        columns=content["columns"],
        layout=Layout.from_json(content["layout"]),
        vocabularies={
            name: Buckets(count) if count else Vocabulary.read(_file(folder, name))
            for name, count in tables.items()
        },
        scales={name: Scale.from_json(scale) for name, scale in content["scales"].items()},
        made_from=content["made_from"],
        warnings=tuple(content["warnings"]),
    )


def _file(folder: Path, name: str) -> Path:
    """A feature's name may hold any sign; a file's may not."""
    return folder / FOLDER / f"{quote(name, safe=' ')}.parquet"
