"""Files of embeddings in; out which rows of the fused tables begin with what, joined by the vocabularies.

They lie beside the encoder, in `starts/*.parquet` (row, values, frozen), for training alone: a model that
was trained has them in its weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recmtl.batch import Slot
from recmtl.data.encoding import canonical
from recmtl.data.vocabulary import RESERVED, Vocabulary
from recmtl.errors import RecmtlError
from recmtl.folder import file_digest
from recmtl.schema import Problem

FOLDER = "starts"


@dataclass(frozen=True)
class Start:
    """What some rows of the fused table of a width begin with, and whether they keep it."""

    rows: np.ndarray  # (N,) int64
    values: np.ndarray  # (N, width) float32
    frozen: bool


def files_of(problem: Problem) -> dict[str, Path]:
    """Feature → the file of its first values. Raises RecmtlError where one is not there."""
    found = {}
    for name, feature in problem.features.items():
        if given := getattr(feature, "init", None):
            found[name] = Path(problem.path(given))
            if not found[name].is_file():
                raise RecmtlError("there is no such file", where=f"[features] {name}: init",
                                  found=found[name], expected="a Parquet file on this machine")
    return found


def digests(problem: Problem) -> list[str]:
    """Of what those files hold; none where there are none."""
    return [file_digest(file) for file in files_of(problem).values()]


def read_start(
    file: Path, slot: Slot, vocabulary: Vocabulary, kind: str, frozen: bool
) -> tuple[Start, list[str]]:
    """The rows that a file gives to a feature whose ids are of `kind`, and warnings.

    The file has a column of values and one of lists of the slot's width. Raises RecmtlError where it has
    not, a value is null or stands there twice, or none is in the vocabulary.
    """
    where = f"[features] {slot.name}: init {file}"
    try:
        values, vectors = _columns(pq.read_table(file), where)
        ids, embeddings = canonical.ids(values, kind), canonical.vectors(vectors, slot.width)
    except (OSError, pa.ArrowException) as error:
        raise RecmtlError(f"cannot be read as Parquet: {error}", where=where) from error
    except canonical.Misfit as misfit:
        row = "" if misfit.row is None else f", row {misfit.row}"
        raise RecmtlError("values that do not fit", where=f"{where}{row}",
                          expected=misfit.expected, found=misfit.found) from misfit
    rows = vocabulary.rows(ids)
    known = rows >= RESERVED
    _refuse_repeats(ids, where)
    if not known.any():
        raise RecmtlError("none of its values is in the feature's vocabulary", where=where,
                          expected=f"values such as {vocabulary.table['value'].slice(0, 3).to_pylist()}",
                          found=ids.slice(0, 3).to_pylist())
    start = Start(rows[known] + slot.first, embeddings[known], frozen)
    return start, _warnings(slot, len(ids), len(start.rows), file)


def save(starts: Sequence[Start], folder: Path) -> None:
    """Write into an encoder's folder; nothing where there are none."""
    for number, start in enumerate(starts):
        (folder / FOLDER).mkdir(exist_ok=True)
        values = pa.FixedSizeListArray.from_arrays(start.values.reshape(-1), start.values.shape[1])
        frozen = np.full(len(start.rows), start.frozen)
        table = pa.table({"row": start.rows, "values": values, "frozen": frozen})
        pq.write_table(table, folder / FOLDER / f"{number}.parquet")


def load(folder: Path) -> list[Start]:
    """What `save` wrote into an encoder's folder."""
    tables = [pq.read_table(file) for file in sorted((folder / FOLDER).glob("*.parquet"))]
    return [
        Start(
            table["row"].to_numpy().copy(),
            canonical.vectors(values := table["values"].combine_chunks(), values.type.list_size),
            table["frozen"][0].as_py(),
        )
        for table in tables
    ]


def _columns(table: pa.Table, where: str) -> tuple[pa.Array, pa.Array]:
    """The values and their embeddings, told by their types."""
    lists = [name for name in table.column_names if pa.types.is_nested(table.schema.field(name).type)]
    others = [name for name in table.column_names if name not in lists]
    if len(lists) != 1 or len(others) != 1:
        raise RecmtlError("it is not clear which column is which", where=where,
                          expected="a column of the feature's values and one of lists of floats",
                          found=", ".join(f"{f.name} ({f.type})" for f in table.schema))
    for name in table.column_names:
        if table[name].null_count:
            raise RecmtlError(f"the column {name!r} has nulls", where=where,
                              found=f"{table[name].null_count} of {len(table)}", fix="drop these rows")
    values, vectors = (table[name].combine_chunks() for name in (*others, *lists))
    return values, vectors


def _refuse_repeats(ids: pa.Array, where: str) -> None:
    counts = ids.value_counts()
    repeated = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if len(repeated):
        raise RecmtlError("a value stands there more than once", where=where,
                          found=repeated[0].as_py(), fix="keep one row a value")


def _warnings(slot: Slot, given: int, known: int, file: Path) -> list[str]:
    values = slot.size - RESERVED
    found = []
    if known < given:
        found.append(f"features.{slot.name}.init: {given - known} of {given} values of {file.name} are "
                     "not in the vocabulary and are left out")
    if known < values:
        found.append(f"features.{slot.name}.init: {values - known} of the vocabulary's {values} values "
                     f"are not in {file.name}: their rows are drawn")
    return found
