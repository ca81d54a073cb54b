"""The one maker of HTML pages and figures: text, tables, numbers in, a self-contained file out."""

from recmtl.page.blocks import Block
from recmtl.page.diagram import diagram
from recmtl.page.document import Cell, Page, Tone
from recmtl.page.figures import by_day, day_map, heat_map, histograms, intervals, lines, save_figure

__all__ = [
    "Block", "Cell", "Page", "Tone", "by_day", "day_map", "diagram", "heat_map", "histograms",
    "intervals", "lines", "save_figure",
]
