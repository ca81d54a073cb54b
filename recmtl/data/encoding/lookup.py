"""What a feature's columns are turned into before the look-up: ids, list elements, or one crossed id.

A feature is read twice: in Arrow where rows are counted and encoded, in SQL where that has to count.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from recmtl.data.query import column, tree
from recmtl.schema import Bag, Cross, Feature, History

UNIT = "\x1f"  # ASCII's unit separator stands between the parts of a crossed id


def id_type(feature: Feature, columns: Mapping[str, str], source: tuple[str, ...]) -> str:
    """BIGINT or VARCHAR: the type of the values in the feature's vocabulary."""
    text = isinstance(feature, Cross) or columns[source[0]].startswith("VARCHAR")
    return "VARCHAR" if text else "BIGINT"


def occurrences(
    feature: Feature, source: tuple[str, ...], columns: Mapping[str, str], day: exp.Expr
) -> exp.Expr:
    """SELECT of value and day, one row an occurrence in the view `train`."""
    if isinstance(feature, History):
        last = exp.Literal.number(feature.last)
        return tree("vocabulary_last", column_=column(source[0]), last_=last, day_=day)
    if isinstance(feature, Bag):
        return tree("vocabulary_elements", column_=column(source[0]), day_=day)
    if isinstance(feature, Cross):
        value = _crossed(source, columns)
    else:
        value = exp.cast(column(source[0]), id_type(feature, columns, source))
    return tree("vocabulary_values", column_=value, day_=day)


def cross(parts: list[pa.Array]) -> pa.Array:
    """One string a row from the parts' ids; null where a part is null.

    Strings are built once a distinct combination, not once a row: it is a dictionary.
    """
    coded = [part.dictionary_encode() for part in parts]
    missing = np.logical_or.reduce([p.is_null().to_numpy(zero_copy_only=False) for p in parts])
    codes = np.stack([c.indices.fill_null(0).to_numpy(zero_copy_only=False) for c in coded])
    distinct, inverse = np.unique(codes[:, ~missing], axis=1, return_inverse=True)
    words = [
        _escaped(c.dictionary).take(pa.array(picked))
        for c, picked in zip(coded, distinct, strict=True)
    ]
    joined = pc.binary_join_element_wise(*words, UNIT)
    place = np.zeros(len(missing), dtype=np.int64)
    place[~missing] = inverse.reshape(-1)
    return pa.DictionaryArray.from_arrays(pa.array(place, mask=missing), joined)


def last_of(values: pa.Array, offsets: np.ndarray, last: int) -> tuple[pa.Array, np.ndarray]:
    """The last `last` values of every list."""
    lengths = np.diff(offsets)
    if not len(lengths) or lengths.max() <= last:
        return values, offsets
    place = np.arange(len(values))
    keep = place >= np.repeat(offsets[1:] - last, lengths)
    kept = np.zeros(len(offsets), dtype=np.int64)
    np.cumsum(np.minimum(lengths, last), out=kept[1:])
    return values.filter(pa.array(keep)), kept


def _escaped(words: pa.Array) -> pa.Array:
    """So that no string can pretend to be two parts."""
    if pa.types.is_integer(words.type):
        return words.cast(pa.string())
    twice = pc.replace_substring(words, "\\", "\\\\")
    return pc.replace_substring(twice, UNIT, "\\u")


def _crossed(source: tuple[str, ...], columns: Mapping[str, str]) -> exp.Expr:
    """The same in SQL: `||` is null where a part is null."""
    parts = [_part(name, columns[name]) for name in source]
    joined = parts[0]
    for part in parts[1:]:
        joined = exp.DPipe(this=exp.DPipe(this=joined, expression=exp.Literal.string(UNIT)),
                           expression=part)
    return joined


def _part(name: str, kind: str) -> exp.Expr:
    if not kind.startswith("VARCHAR"):
        return exp.cast(exp.cast(column(name), "BIGINT"), "VARCHAR")
    value: exp.Expr = column(name)
    for sign, instead in (("\\", "\\\\"), (UNIT, "\\u")):
        value = exp.func("replace", value, exp.Literal.string(sign), exp.Literal.string(instead))
    return value

