"""Boxes in, an SVG out, in light and dark, that says what leads to what: same boxes, same bytes."""

import html
import re
from collections.abc import Sequence

from recmtl.page.blocks import LINE, TITLE, Block, Link, Place, lay_out, shortened, text_width

MARGIN, HEAD, GAP = 20.0, 70.0, 40.0  # around all, of the heading, between rows
ABOVE, BELOW, STEP, CARD = 20.0, 9.0, 15.5, 4.0  # in a box: to the title's foot, below the text; cards
HEADING, SMALL = 16.0, 11.5
MOST_CARDS = 3
FONT = "Inter, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

# A box's fill is a breath of its line's colour, which does on white and on black.
STYLE = f"""
svg {{ --ink: #1f2328; --soft: #667080; --line: #9aa3ae; --back: #ffffff; }}
@media (prefers-color-scheme: dark) {{
  svg {{ --ink: #e4e7eb; --soft: #98a2b0; --line: #6b7480; --back: #14171b; }} }}
text {{ font-family: {FONT}; font-size: {LINE}px; fill: var(--soft); text-anchor: middle; }}
.title {{ font-size: {TITLE}px; font-weight: 600; fill: var(--ink); }}
.heading {{ font-size: {HEADING}px; font-weight: 600; fill: var(--ink); text-anchor: start; }}
.note {{ font-size: {SMALL}px; text-anchor: start; }}
.back {{ fill: var(--back); }}
.link {{ fill: none; stroke: var(--line); stroke-width: 1.3; }}
.broken {{ stroke-dasharray: 4 3; }}
#tip path {{ fill: var(--line); }}
.box {{ stroke-width: 1.2; stroke: var(--tone); fill: var(--tone); fill-opacity: .11; }}
.features, .view {{ --tone: #7d8794; }}
.tables {{ --tone: #2f6fb3; }}
.network {{ --tone: #3f9367; }}
.gate {{ --tone: #d9822b; }}
.tower {{ --tone: #4aa3b5; }}
.relation {{ --tone: #a34a82; }}
.task {{ --tone: #8a8f2e; }}
"""
TIP = (
    '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6.5" markerHeight="6.5" '
    'orient="auto"><path d="M0 0.6 L8 4 L0 7.4 z"/></marker>'
)
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def diagram(ends: Sequence[Block], heading: str, note: str, broken: str) -> str:
    """Every box that leads to `ends`, from top to bottom, as one SVG that needs no other file.

    `broken` says what broken lines are, where there are any.
    """
    grid, links = lay_out(ends)
    notes = [note, *([broken] if any(link.broken for link in links) else [])]
    tops, heights = _down(grid)
    drawn = max(place.x + place.width / 2 for row in grid for place in row)
    texts = [text_width(heading, HEADING), *(text_width(note, SMALL) for note in notes)]
    wide = max(drawn + CARD * MOST_CARDS, *texts) + 2 * MARGIN
    for place in (place for row in grid for place in row):
        place.x += (wide - drawn) / 2
    high = tops[-1] + heights[-1] + MARGIN
    body = [_link(link, tops, heights) for link in links]
    body += [_passing(place, tops, heights, links) for row in grid for place in row if not place.block]
    body += [_box(place, tops[place.row], heights[place.row]) for row in grid for place in row]
    said = _escaped(f"{heading}: {', '.join(notes)}")
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide:.0f}" height="{high:.0f}" '
        f'viewBox="0 0 {wide:.0f} {high:.0f}" role="img" aria-label="{said}">',
        f"<style>{STYLE}</style><defs>{TIP}</defs>",
        '<rect class="back" width="100%" height="100%"/>',
        _text("heading", MARGIN, MARGIN + 13, heading),
        *(_text("note", MARGIN, MARGIN + 17 + STEP * i, note) for i, note in enumerate(notes, 1)),
        *filter(None, body), "</svg>", "",
    ])


def _down(grid: Sequence[Sequence[Place]]) -> tuple[list[float], list[float]]:
    """The top of each row, and how high its boxes are."""
    heights = [
        ABOVE + BELOW + STEP * max(len(p.block.lines) for p in row if p.block) for row in grid
    ]
    tops = [MARGIN + HEAD]
    for height in heights[:-1]:
        tops.append(tops[-1] + height + GAP)
    return tops, heights


def _box(place: Place, top: float, height: float) -> str:
    block = place.block
    if block is None:
        return ""
    left, middle = place.x - place.width / 2, place.x
    cards = range(min(block.copies, MOST_CARDS) - 1, -1, -1)
    parts = []
    for card in cards:
        frame = (
            f'x="{left + CARD * card:.1f}" y="{top - CARD * card:.1f}" width="{place.width:.1f}" '
            f'height="{height:.1f}" rx="5"'
        )
        parts += [f'<rect class="back" {frame}/>', f'<rect class="box" {frame}/>']
    foot = top + ABOVE + (height - ABOVE - BELOW - STEP * len(block.lines)) / 2
    parts.append(_text("title", middle, foot, shortened(block.title)))
    parts += [
        _text("", middle, foot + STEP * number, shortened(line))
        for number, line in enumerate(block.lines, 1)
    ]
    return f'<g class="{block.role}">{"".join(parts)}</g>'


def _link(link: Link, tops: Sequence[float], heights: Sequence[float]) -> str:
    """Down from the foot of a row to the head of the next."""
    row = link.start.row
    x, y = link.start.x, tops[row] + heights[row]
    to, end = link.end.x, tops[row + 1] - _cards(link.end)
    bow = GAP * 0.55
    tip = ' marker-end="url(#tip)"' if link.end.block else ""
    return (
        f'<path class="{_kind(link.broken)}" d="M{x:.1f} {y:.1f} C{x:.1f} {y + bow:.1f} '
        f'{to:.1f} {end - bow:.1f} {to:.1f} {end:.1f}"{tip}/>'
    )


def _cards(place: Place) -> float:
    """How far a stack rises above its first card at its middle."""
    return CARD * (min(place.block.copies, MOST_CARDS) - 1) if place.block else 0.0


def _passing(
    place: Place, tops: Sequence[float], heights: Sequence[float], links: Sequence[Link]
) -> str:
    """A line past a row of boxes."""
    x, top = place.x, tops[place.row]
    broken = next(link.broken for link in links if link.end is place)
    return f'<path class="{_kind(broken)}" d="M{x:.1f} {top:.1f} V{top + heights[place.row]:.1f}"/>'


def _kind(broken: bool) -> str:
    return "link broken" if broken else "link"


def _text(kind: str, x: float, y: float, text: str) -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}">{_escaped(text)}</text>'


def _escaped(text: str) -> str:
    """What XML cannot hold, such as a bell in a feature's name, is shown as unreadable."""
    return html.escape(_NOT_XML.sub("\ufffd", text))
