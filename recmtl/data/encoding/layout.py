"""Features and their vocabularies in, the layout of encoded rows and fused tables out."""

from collections.abc import Iterable, Mapping

from recmtl.batch import Layout, Slot
from recmtl.data.encoding.fitted import Rows, owner_of
from recmtl.schema import Computed, Feature, Vector
from recmtl.schema.features import inputs_of, is_embedded, is_list


def layout_of(
    labels: Iterable[str], features: Mapping[str, Feature], vocabularies: Mapping[str, Rows],
    width: int,
) -> Layout:
    """Slots by width and name; the vocabularies of a width stand one after another in its table."""
    widths = {name: getattr(features[name], "width", None) or width for name in vocabularies}
    first, tables = {}, dict.fromkeys(sorted(widths.values()), 0)
    for name in sorted(vocabularies, key=lambda n: (widths[n], n)):
        first[name] = tables[widths[name]]
        tables[widths[name]] += vocabularies[name].size

    def slots(names: Iterable[str]) -> tuple[Slot, ...]:
        made = [
            Slot(name, widths[owner], first[owner], vocabularies[owner].size)
            for name in names for owner in [owner_of(name, features)]
        ]
        return tuple(sorted(made, key=lambda slot: (slot.width, slot.name)))

    embedded = {name: f for name, f in features.items() if is_embedded(f)}
    return Layout(
        slots=slots(name for name, f in embedded.items() if not is_list(f)),
        lists=slots(name for name, f in embedded.items() if is_list(f)),
        dense={
            name: f.size if isinstance(f, Vector | Computed) else 1 + len(inputs_of(name, f))
            for name, f in features.items() if name not in embedded
        },
        tables=tables,
        labels=tuple(labels),
    )
