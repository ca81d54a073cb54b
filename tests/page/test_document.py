"""Pages escape what they are given, and set numbers so that they can be compared."""

import numpy as np

from recmtl.page import Cell, Page, heat_map

EVIL = "<script>alert('x')</script> & \"co\""


def test_everything_is_escaped() -> None:
    page = Page(EVIL, lead=EVIL)
    page.heading(EVIL)
    page.text(EVIL)
    page.note(EVIL)
    page.warnings([EVIL])
    page.table([EVIL], [[EVIL], [Cell(EVIL, small=EVIL, tone="good")]])
    page.figure(heat_map(np.eye(2), ["a", "b"], ["c", "d"], "t"), caption=EVIL)
    assert "<script" not in page.html()
    assert page.html().count("&lt;script&gt;") == 13  # the title twice, the caption twice


def test_numbers_are_set_right_and_none_is_a_dash() -> None:
    page = Page("t")
    page.table(["name", "n", "auc"], [["a", None, None], ["b", 1234567, 0.123456]])
    found = page.html()
    assert "<th>name</th><th class=\"n\">n</th><th class=\"n\">auc</th>" in found
    assert '<td class="quiet n">–</td>' in found
    assert '<td class="n">1,234,567</td><td class="n">0.1235</td>' in found


def test_no_warnings_no_box() -> None:
    page = Page("t")
    page.warnings([])
    assert 'class="warnings"' not in page.html()
