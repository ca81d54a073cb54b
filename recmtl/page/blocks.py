"""Boxes that read each other → rows of places: each box below all that it reads, few lines crossed."""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Role = Literal["features", "tables", "view", "network", "gate", "tower", "relation", "task"]
IN_ONE_ROW: tuple[Role, ...] = ("features", "tables", "tower", "task")
TITLE, LINE = 12.5, 11.0  # sizes of text, pixels
LONGEST = 38  # characters of a line
SIDE, BETWEEN, BEND = 11.0, 22.0, 8.0  # inside a box, from box to box, of a line that passes a row
SWEEPS = 24


@dataclass(frozen=True, eq=False)
class Block:
    """A box of a drawing: what it is, what is said of it, and the boxes that it reads.

    From those in `told` it learns how much of the others to take, or reads them without a gradient.
    """

    title: str
    lines: tuple[str, ...] = ()
    reads: tuple["Block", ...] = ()
    told: tuple["Block", ...] = ()
    role: Role = "network"
    copies: int = 1  # of one shape, side by side
    columns: int = 0  # of what it gives


@dataclass(eq=False)
class Place:
    """Where a box stands, or, without one, where a line passes a row of boxes; `x` is its middle."""

    row: int
    width: float
    block: Block | None = None
    x: float = 0.0


@dataclass(frozen=True)
class Link:
    """A line from a place to one in the next row."""

    start: Place
    end: Place
    broken: bool


def lay_out(ends: Sequence[Block]) -> tuple[list[list[Place]], list[Link]]:
    """Every box that leads to `ends`, in rows from left to right, and the lines between the rows."""
    blocks = _in_order(ends)
    rows = _rows(blocks)
    places = {block: Place(rows[block], _width(block), block) for block in blocks}
    grid: list[list[Place]] = [[] for _ in range(max(rows.values()) + 1)]
    for place in places.values():
        grid[place.row].append(place)
    links: list[Link] = []
    bends: dict[tuple[Block, int, bool], Place] = {}
    for block in blocks:
        for broken, source in _sources(block):
            last = places[source]
            for row in range(last.row + 1, rows[block]):
                if (source, row, broken) not in bends:  # lines from one box run together
                    bends[source, row, broken] = Place(row, BEND)
                    grid[row].append(bends[source, row, broken])
                    links.append(Link(last, bends[source, row, broken], broken))
                last = bends[source, row, broken]
            links.append(Link(last, places[block], broken))
    grid = _untangled(grid, links)
    _set_across(grid, links)
    return grid, links


def _sources(block: Block) -> Iterator[tuple[bool, Block]]:
    for broken, sources in ((False, block.reads), (True, block.told)):
        yield from ((broken, source) for source in dict.fromkeys(sources))


def _in_order(ends: Sequence[Block]) -> list[Block]:
    """All that leads to `ends`, each after what it reads."""
    found: dict[Block, None] = {}

    def visit(block: Block) -> None:
        if block not in found:
            for _, source in _sources(block):
                visit(source)
            found[block] = None

    for end in ends:
        visit(end)
    return list(found)


def _rows(blocks: Sequence[Block]) -> dict[Block, int]:
    """The row of each: below all that it reads, and with those that belong into one row."""
    rows = dict.fromkeys(blocks, 0)
    levels = [[b for b in blocks if b.role == role] for role in IN_ONE_ROW]
    levels = [same for same in levels if not any({*same} & {*_in_order([b])} - {b} for b in same)]
    for _ in blocks:
        before = dict(rows)
        for block in blocks:
            rows[block] = max([rows[block], *(rows[source] + 1 for _, source in _sources(block))])
        for same in levels:
            rows |= dict.fromkeys(same, max((rows[block] for block in same), default=0))
        if rows == before:
            break
    return rows


def _untangled(grid: list[list[Place]], links: Sequence[Link]) -> list[list[Place]]:
    """Each row in the order of the middle of what it is linked to, over and over; the best is kept."""
    above, below = _neighbours(links)
    best = [list(row) for row in grid]
    least = _crossings(best, links)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for row in grid if down else reversed(grid):
            at = {place: i for line in grid for i, place in enumerate(line)}
            linked = above if down else below
            means = {place: _mean([at[p] for p in linked.get(place, ())], at[place]) for place in row}
            row.sort(key=means.__getitem__)
        found = _crossings(grid, links)
        if found < least:
            best, least = [list(row) for row in grid], found
    return best


def _neighbours(links: Sequence[Link]) -> tuple[dict[Place, list[Place]], dict[Place, list[Place]]]:
    above: dict[Place, list[Place]] = {}
    below: dict[Place, list[Place]] = {}
    for link in links:
        above.setdefault(link.end, []).append(link.start)
        below.setdefault(link.start, []).append(link.end)
    return above, below


def _crossings(grid: Sequence[Sequence[Place]], links: Sequence[Link]) -> int:
    at = {place: i for row in grid for i, place in enumerate(row)}
    count = 0
    for row in range(len(grid)):
        ends = [(at[link.start], at[link.end]) for link in links if link.start.row == row]
        count += sum((a[0] - b[0]) * (a[1] - b[1]) < 0 for i, a in enumerate(ends) for b in ends[:i])
    return count


def _set_across(grid: Sequence[Sequence[Place]], links: Sequence[Link]) -> None:
    """Each place as near to the middle of those that it is linked to as its row leaves room."""
    above, below = _neighbours(links)
    for row in grid:
        _settle(row, [0.0] * len(row))
    for sweep in range(SWEEPS):
        for row in grid if sweep % 2 == 0 else list(reversed(grid)):
            wanted = [[p.x for p in (*above.get(place, ()), *below.get(place, ()))] for place in row]
            _settle(row, [_mean(xs, place.x) for xs, place in zip(wanted, row, strict=True)])
    left = min(place.x - place.width / 2 for row in grid for place in row)
    for row in grid:
        for place in row:
            place.x -= left


def _settle(row: Sequence[Place], wanted: Sequence[float]) -> None:
    """Least squares from `wanted` in the row's order without overlap: adjacent violators are pooled."""
    gaps = [(a.width + b.width) / 2 + BETWEEN for a, b in pairwise(row)]
    offsets = [sum(gaps[:i]) for i in range(len(row))]
    pools: list[tuple[float, int]] = []  # mean, number of places
    for want, offset in zip(wanted, offsets, strict=True):
        pools.append((want - offset, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (first, some), (second, more) = pools[-2:]
            pools[-2:] = [((first * some + second * more) / (some + more), some + more)]
    starts = [mean for mean, count in pools for _ in range(count)]
    for place, start, offset in zip(row, starts, offsets, strict=True):
        place.x = start + offset


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def shortened(text: str) -> str:
    """A line that fits: what is too long loses its middle."""
    half = (LONGEST - 1) // 2
    return text if len(text) <= LONGEST else f"{text[:half]}…{text[-half:]}"


def _width(block: Block) -> float:
    lines = [text_width(shortened(line), LINE) for line in block.lines]
    return max([text_width(shortened(block.title), TITLE), *lines]) + 2 * SIDE


_ADVANCES: Mapping[str, float] = {
    **dict.fromkeys("il.,:;|'!()[]· jtfrI/-", 0.37), **dict.fromkeys("mwMW@%→Σ—", 0.95),
}


def text_width(text: str, size: float) -> float:
    """Pixels, generously: the reader's font is not known."""
    return size * sum(_advance(letter) for letter in text)


def _advance(letter: str) -> float:
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.05
    return _ADVANCES.get(letter, 0.72 if letter.isupper() else 0.6)
