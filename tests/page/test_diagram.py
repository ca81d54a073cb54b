"""A diagram: every box below what it reads, none on another, all texts escaped, always the same bytes."""

from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from recmtl.page import Block, diagram
from recmtl.page.blocks import BETWEEN, Place, _crossings, _settle, lay_out

SVG = "{http://www.w3.org/2000/svg}"


def mixture(tasks: int = 3) -> list[Block]:
    """One input, an expert a task, gates that read every expert and the input, towers and tasks."""
    x = Block("x", ("4 columns",), role="view")
    experts = [Block(f"expert {t}", ("4 → 2", "10 in each"), (x,), copies=2) for t in range(tasks)]
    gates = [Block(f"gate {t}", (), tuple(experts), (x,), "gate") for t in range(tasks)]
    towers = [Block(f"tower {t}", (), (gate,), role="tower") for t, gate in enumerate(gates)]
    return [Block(f"task {t}", (), (tower,), role="task") for t, tower in enumerate(towers)]


def drawn(ends: list[Block]) -> ElementTree.Element:
    return ElementTree.fromstring(diagram(ends, "model", "sizes", "broken"))


def test_a_box_stands_below_all_that_it_reads() -> None:
    grid, links = lay_out(mixture())
    assert [[p.block.title.split()[0] for p in row if p.block] for row in grid] == [
        ["x"], ["expert"] * 3, ["gate"] * 3, ["tower"] * 3, ["task"] * 3,
    ]
    assert all(link.end.row == link.start.row + 1 for link in links)
    passing = [p for p in grid[1] if p.block is None]
    assert len(passing) == 1  # the lines from x to the three gates run together past the experts
    assert [link.broken for link in links if link.start is passing[0]] == [True] * 3


def test_towers_stand_in_one_row_unless_one_reads_another() -> None:
    short = Block("short", role="tower")
    long = Block("long", (), (Block("network", (), (Block("x"),)),), role="tower")
    grid, _ = lay_out([short, long])
    assert {p.block.title for p in grid[2] if p.block} == {"short", "long"}
    after = Block("after", (), (short,), role="tower")
    grid, _ = lay_out([after])
    assert [[p.block.title for p in row if p.block] for row in grid] == [["short"], ["after"]]


def test_lines_that_need_not_cross_do_not() -> None:
    left, right = Block("left"), Block("right")
    ends = [Block("a", (), (right,)), Block("b", (), (left,)), Block("c", (), (left,))]
    grid, links = lay_out(ends)
    assert _crossings(grid, links) == 0
    # two that both read both cross once, whatever the order
    grid, links = lay_out([Block("a", (), (left, right)), Block("b", (), (left, right))])
    assert _crossings(grid, links) == 1


def test_places_are_as_near_to_where_they_belong_as_a_row_leaves_room() -> None:
    random = np.random.default_rng(4)
    row = [Place(0, width) for width in random.uniform(10, 90, 12)]
    wanted = random.uniform(0, 600, 12)
    _settle(row, list(wanted))
    gaps = [(a.width + b.width) / 2 + BETWEEN for a, b in pairwise(row)]
    offsets = np.concatenate([[0.0], np.cumsum(gaps)])
    least = IsotonicRegression().fit_transform(np.arange(12), wanted - offsets) + offsets
    assert [place.x for place in row] == pytest.approx(list(least), abs=1e-6)


def test_no_box_stands_on_another_and_all_are_within_the_picture() -> None:
    root = drawn(mixture(9))
    boxes = [
        [float(rect.get(key, "")) for key in ("x", "y", "width", "height")]
        for group in root.iter(f"{SVG}g") for rect in [[*group.iter(f"{SVG}rect")][-1]]
    ]
    assert len(boxes) == 1 + 4 * 9
    for i, (x, y, w, h) in enumerate(boxes):
        assert x > 0 and x + w < float(root.get("width", "")) and y + h < float(root.get("height", ""))
        assert all(x + w <= a or a + c <= x or y + h <= b or b + d <= y for a, b, c, d in boxes[:i])


def test_a_stack_has_a_card_for_each_of_few_copies() -> None:
    for copies, cards in ((1, 1), (2, 2), (3, 3), (8, 3)):
        (group,) = drawn([Block("experts", copies=copies)]).iter(f"{SVG}g")
        assert len([r for r in group.iter(f"{SVG}rect") if r.get("class") == "box"]) == cards


def test_what_broken_lines_are_is_said_where_there_are_any() -> None:
    x = Block("x")
    for end, said in ((Block("y", (), (x,)), False), (Block("y", (), (), (x,)), True)):
        texts = [text.text for text in drawn([end]).iter(f"{SVG}text")]
        assert ("broken" in texts) is said


def test_names_are_escaped_and_what_is_too_long_loses_its_middle() -> None:
    evil = "<script>alert('x')</script> & \"co\""
    texts = [t.text for t in drawn([Block(evil, ("bell \x07", "ключ 値", "n" * 80))]).iter(f"{SVG}text")]
    assert texts[2:] == [evil, "bell \ufffd", "ключ 値", "n" * 18 + "…" + "n" * 18]
    assert "<script" not in diagram([Block(evil, (evil,))], evil, evil, evil)


def test_the_same_boxes_give_the_same_bytes() -> None:
    assert diagram(mixture(), "m", "n", "b") == diagram(mixture(), "m", "n", "b")
