"""Text, tables and figures in, one self-contained HTML page out, in light and dark."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from recmtl.page.figures import png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Tone = Literal["good", "even", "bad", "quiet"]
DASH = "–"
LONG = 28  # characters: longer texts in tables are wrapped

STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --soft: #667080; --rule: #e3e6ea; --back: #ffffff;
  --band: #f6f7f9; --good: #1a7f4b; --goodback: #e3f4ea; --even: #7a5b00; --evenback: #fbf2d5;
  --bad: #8c4a46; --badback: #f8ebea; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7eb; --soft: #98a2b0; --rule: #2c323a;
  --back: #14171b; --band: #1b1f25; --good: #6fd19b; --goodback: #143323; --even: #e2c46a;
  --evenback: #362d10; --bad: #e2a19c; --badback: #3a2120; }
  figure img:not(.drawn) { filter: invert(1) hue-rotate(180deg); } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1240px; padding: 48px 32px 96px; background: var(--back);
  color: var(--ink);
  font: 15px/1.55 Inter, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 30px; line-height: 1.2; letter-spacing: -.015em; margin: 0 0 8px; }
h2 { font-size: 20px; letter-spacing: -.01em; margin: 56px 0 8px; padding-top: 20px;
  border-top: 1px solid var(--rule); }
h3 { font-size: 15px; margin: 28px 0 4px; }
p { margin: 8px 0; max-width: 78ch; }
p.lead { color: var(--soft); font-size: 17px; margin-bottom: 24px; }
p.note, figcaption { color: var(--soft); font-size: 13px; max-width: 100ch; }
.scroll { overflow-x: auto; margin: 12px 0 20px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums lining-nums; }
th { color: var(--soft); font-size: 12px; font-weight: 600; text-align: left;
  vertical-align: bottom; padding: 6px 12px; border-bottom: 1px solid var(--soft); white-space: nowrap; }
td { padding: 7px 12px; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th.n, td.n { text-align: right; } tr:hover td { background: var(--band); }
td.long { white-space: normal; min-width: 20ch; }
td.quiet { color: var(--soft); } td small { color: var(--soft); font-size: 12px; }
.badge { display: inline-block; padding: 1px 9px; border-radius: 10px; font-size: 12px;
  font-weight: 600; }
td.n .badge { font-size: inherit; padding: 0 8px; margin: 0 -8px; }
.badge.good { color: var(--good); background: var(--goodback); }
.badge.even { color: var(--even); background: var(--evenback); }
.badge.bad { color: var(--bad); background: var(--badback); }
ul.warnings { list-style: none; padding: 12px 18px; margin: 16px 0; background: var(--evenback);
  border-left: 3px solid var(--even); border-radius: 4px; } ul.warnings li { margin: 3px 0; }
figure { margin: 16px 0 24px; } figure img { max-width: 100%; height: auto; display: block; }
"""


@dataclass(frozen=True)
class Cell:
    """A table's cell that is more than a value: with a small addition, or a badge of a tone."""

    text: str
    small: str = ""
    tone: Tone | None = None


class Page:
    """An HTML page, written from top to bottom; everything that is handed in is escaped."""

    def __init__(self, title: str, lead: str = "") -> None:
        self._title = title
        self._parts = [f"<h1>{html.escape(title)}</h1>"]
        if lead:
            self._parts.append(f'<p class="lead">{html.escape(lead)}</p>')

    def heading(self, text: str, level: Literal[2, 3] = 2) -> None:
        self._parts.append(f"<h{level}>{html.escape(text)}</h{level}>")

    def text(self, text: str) -> None:
        self._parts.append(f"<p>{html.escape(text)}</p>")

    def note(self, text: str) -> None:
        """Small print: how to read what stands above."""
        self._parts.append(f'<p class="note">{html.escape(text)}</p>')

    def warnings(self, lines: Sequence[str]) -> None:
        """A marked list; nothing where there are no lines."""
        if lines:
            items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
            self._parts.append(f'<ul class="warnings">{items}</ul>')

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table: numbers are set right and in equal digits, None is a dash.

        A column that holds a number or a Cell with digits in its first filled row is a column of
        numbers. Floats are written with four significant digits; format them beforehand for others.
        """
        numeric = [_is_numeric([row[i] for row in rows]) for i in range(len(columns))]
        head = "".join(
            f"<th{_right(n)}>{html.escape(c)}</th>" for c, n in zip(columns, numeric, strict=True)
        )
        body = "\n".join(
            f"<tr>{''.join(_cell(v, n) for v, n in zip(row, numeric, strict=True))}</tr>"
            for row in rows
        )
        self._parts.append(
            f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n'
            f"<tbody>{body}</tbody></table></div>"
        )

    def figure(self, figure: "Figure", caption: str = "") -> None:
        """A figure, embedded; its caption is also its text for those who cannot see it."""
        data = base64.b64encode(png(figure, transparent=True)).decode()
        width = round(figure.get_figwidth() * 96)
        said = html.escape(caption)
        below = f"<figcaption>{said}</figcaption>" if caption else ""
        source = f"data:image/png;base64,{data}"
        self._parts.append(
            f'<figure><img alt="{said}" width="{width}" src="{source}">{below}</figure>'
        )

    def drawing(self, svg: str, caption: str = "") -> None:
        """An SVG that knows light and dark by itself, embedded; its texts are kept as they are."""
        data, said = base64.b64encode(svg.encode()).decode(), html.escape(caption)
        below = f"<figcaption>{said}</figcaption>" if caption else ""
        source = f"data:image/svg+xml;base64,{data}"
        self._parts.append(f'<figure><img class="drawn" alt="{said}" src="{source}">{below}</figure>')

    def html(self) -> str:
        """The whole page: one file that needs no other."""
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{html.escape(self._title)}</title><style>{STYLE}</style></head>\n"
            "<body>\n" + "\n".join(self._parts) + "\n</body></html>\n"
        )


def _is_numeric(values: Sequence[object]) -> bool:
    for value in values:
        if value is None or (isinstance(value, Cell) and not value.text):
            continue
        text = value.text if isinstance(value, Cell) else value
        if isinstance(text, str):
            return text.lstrip("+-−±[< ").replace(",", "")[:1].isdigit()
        return isinstance(text, int | float | np.number)
    return False


def _right(numeric: bool) -> str:
    return ' class="n"' if numeric else ""


def _cell(value: object, numeric: bool) -> str:
    if isinstance(value, Cell):
        text, small = html.escape(value.text), html.escape(value.small)
        text = f'<span class="badge {value.tone}">{text}</span>' if value.tone and text else text
        return f"<td{_right(numeric)}>{text}{f' <small>{small}</small>' if small else ''}</td>"
    if value is None:
        return f'<td class="quiet{" n" if numeric else ""}">{DASH}</td>'
    if isinstance(value, float):
        value = f"{value:.4g}"
    elif isinstance(value, int):
        value = f"{value:,}"
    wrapped = ' class="long"' if isinstance(value, str) and len(value) > LONG else _right(numeric)
    return f"<td{wrapped}>{html.escape(str(value))}</td>"
