"""Numbers in, matplotlib figures out, in one style; drawn without pyplot's global state."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recmtl.folder import write_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, GUIDE, RULE = "#1f2328", "#667080", "#9aa3ae", "#d5d9df"
COLOURS = ("#2f6fb3", "#d9822b", "#3f9367", "#a34a82", "#7a6a58", "#4aa3b5", "#c2504a", "#8a8f2e")
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
DPI = 160


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG on white."""
    write_file(path, png(figure, transparent=False))


def heat_map(
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    spread: np.ndarray | None = None,
) -> "Figure":
    """Values (R, C) as colours with the figures written in; NaN is an empty cell.

    `spread` (R, C) is written below as ±. Colours run from 0 to the largest value.
    """
    figure, (axes,) = _panels(1, width=2.2 + 1.15 * len(columns), height=1.0 + 0.72 * len(rows))
    top = float(np.nanmax(values)) or 1.0
    axes.imshow(np.ma.masked_invalid(values), cmap="Blues", vmin=0, vmax=top * 1.15, aspect="auto")
    for (r, c), value in np.ndenumerate(values):
        if np.isfinite(value):
            ink = "white" if value > 0.65 * top else INK
            style: dict[str, Any] = {"ha": "center", "color": ink}
            high = "center" if spread is None else "bottom"
            axes.text(c, r, f"{value:.3f}", va=high, fontsize=11, fontweight="bold", **style)
            if spread is not None:
                axes.text(c, r + 0.06, f"± {spread[r, c]:.3f}", va="top", fontsize=8.5, **style)
    _name_cells(axes, rows, columns)
    _title(axes, title)
    return figure


def _name_cells(axes: "Axes", rows: Sequence[str], columns: Sequence[str]) -> None:
    """Names beside and below the cells, white lines between them, no frame."""
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xticks(np.arange(len(columns) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(rows) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.grid(which="major", visible=False)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)


def intervals(
    panels: Mapping[str, Mapping[str, tuple[float, float, float]]],
    xlabel: str,
    reference: Mapping[str, float],
    seeds: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
) -> "Figure":
    """A panel a task, a line a model: a dot at its value on the interval from low to high.

    `reference` gives a panel a thin upright line, e.g. at the best value; `seeds` small dots beneath, the
    values that one is the mean of.
    """
    most = max(len(models) for models in panels.values())
    names = list(dict.fromkeys(m for models in panels.values() for m in models))
    figure, grid = _panels(len(panels), height=1.1 + 0.34 * most, sharey=True)
    for axes, (title, models) in zip(grid, panels.items(), strict=True):
        for model, (value, low, high) in models.items():
            place = names.index(model)
            axes.plot([low, high], [place, place], color=_colour(place), linewidth=2.2, alpha=0.45,
                      solid_capstyle="round")
            axes.plot(value, place, "o", color=_colour(place), markersize=6.5)
            single = (seeds or {}).get(title, {}).get(model, ())
            axes.plot(single, [place + 0.28] * len(single), "|", color=_colour(place), markersize=7)
        if title in reference:
            axes.axvline(reference[title], color=GUIDE, linewidth=1, zorder=0)
        _title(axes, title)
        axes.set_xlabel(xlabel)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0, labelsize=10)
        axes.locator_params(axis="x", nbins=3)
    return figure


def lines(
    panels: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]],
    labels: tuple[str, str],
    diagonal: bool = False,
    log: bool = False,
) -> "Figure":
    """A panel a title, a line a model through its (x, y); `diagonal` draws y = x beneath.

    Metrics by epoch, and calibration curves (x: mean score, y: rate of positives). With `log` equal
    ratios of x are equally far apart, each x is named, and y begins at 0.
    """
    names = list(dict.fromkeys(m for models in panels.values() for m in models))
    figure, grid = _panels(len(panels), height=3.1)
    for axes, (title, models) in zip(grid, panels.items(), strict=True):
        for model, (x, y) in models.items():
            place = names.index(model)
            axes.plot(x, y, color=_colour(place), marker=MARKS[place % len(MARKS)], markersize=4,
                      linewidth=1.6, label=model)
        if diagonal:
            top = max((max(*x, *y) for x, y in models.values()), default=1.0) * 1.05
            axes.plot([0, top], [0, top], color=GUIDE, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
        elif log:
            named = sorted({v for x, _ in models.values() for v in x})
            axes.set_xscale("log")
            axes.set_xticks(named, [f"{v:,.0f}" for v in named])
            axes.set_xticks([], minor=True)
            axes.set_ylim(bottom=0)
        elif all(float(v).is_integer() for x, _ in models.values() for v in x):
            axes.locator_params(axis="x", integer=True)
        _title(axes, title)
        axes.set_xlabel(labels[0])
    grid[0].set_ylabel(labels[1])
    _legend(figure, grid)
    return figure


def histograms(
    panels: Mapping[str, Mapping[str, Sequence[float]]], labels: tuple[str, str], bins: int = 40
) -> "Figure":
    """A panel a title, an outline a model: how many of its values lie in each bin, the same for all."""
    names = list(dict.fromkeys(m for models in panels.values() for m in models))
    figure, grid = _panels(len(panels), height=3.1)
    for axes, (title, models) in zip(grid, panels.items(), strict=True):
        edges = np.histogram_bin_edges(np.concatenate([list(v) for v in models.values()]), bins)
        for model, values in models.items():
            colour = _colour(names.index(model))
            axes.stairs(np.histogram(values, edges)[0], edges, color=colour, linewidth=1.6, label=model)
        _title(axes, title)
        axes.set_xlabel(labels[0])
    grid[0].set_ylabel(labels[1])
    _legend(figure, grid)
    return figure


def by_day(
    panels: Mapping[str, Sequence[float]], days: Sequence[str], shares: bool = True
) -> "Figure":
    """A panel a title, a line through a value a day, a share or a number; NaN leaves a gap."""
    figure, grid = _panels(len(panels), height=2.3, width=9.6)
    for axes, (title, values) in zip(grid, panels.items(), strict=True):
        axes.plot(range(len(days)), values, color=COLOURS[0], marker="o", markersize=4, linewidth=1.6)
        axes.set_ylim(0, 1.15 * max((v for v in values if np.isfinite(v)), default=0) or 1)
        axes.yaxis.set_major_formatter(_percent if shares else _number)
        _title(axes, title)
        _name_days(axes, days, most=4)
    return figure


def _percent(share: float, place: float | None) -> str:
    return f"{100 * share:.3g} %"


def _number(value: float, place: float | None) -> str:
    return f"{value:,.0f}"


def day_map(
    values: np.ndarray, rows: Sequence[str], days: Sequence[str], title: str, top: float
) -> "Figure":
    """Values (R, D) as colours, a line a row and a column a day; `top` and more is the darkest."""
    figure, (axes,) = _panels(1, width=9.6, height=0.9 + 0.24 * len(rows))
    shown = axes.imshow(np.ma.masked_invalid(values), cmap="YlOrRd", vmin=0, vmax=top, aspect="auto")
    _name_cells(axes, rows, days)
    _name_days(axes, days, most=12)
    bar = figure.colorbar(shown, ax=axes, fraction=0.025, pad=0.015, extend="max")
    bar.ax.tick_params(labelsize=8, colors=SOFT, length=0)
    bar.outline.set_visible(False)
    _title(axes, title)
    return figure


def _name_days(axes: "Axes", days: Sequence[str], most: int) -> None:
    """Some of the days below, without the year."""
    some = range(0, len(days), -(-len(days) // most))
    axes.set_xticks(list(some), [days[place][5:] for place in some])


def _legend(figure: "Figure", grid: Sequence["Axes"]) -> None:
    """One legend below all panels, each model once."""
    drawn: dict[str, Any] = {}
    for axes in grid:
        handles, said = axes.get_legend_handles_labels()
        drawn |= dict(zip(said, handles, strict=True))
    figure.legend(list(drawn.values()), list(drawn), loc="outside lower center", ncols=6,
                  frameon=False, fontsize=9, labelcolor=INK, columnspacing=1.4)


def _title(axes: "Axes", title: str) -> None:
    axes.set_title(title, fontsize=11, color=INK, loc="left", fontweight="bold", pad=8)


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def _panels(
    count: int, *, height: float, width: float | None = None, sharey: bool = False
) -> tuple["Figure", list["Axes"]]:
    """A figure of panels, three a row, in the house's style; without pyplot's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = min(count, 3)
    down = -(-count // across)
    size = (width or max(5.0, 3.5 * across), height * down)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    made: list[Any] = list(figure.subplots(down, across, squeeze=False, sharey=sharey).ravel())
    for spare in made[count:]:
        spare.set_visible(False)
    for axes in made[:count]:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(RULE)
        axes.tick_params(colors=INK, labelsize=9, color=RULE)
        axes.grid(axis="x" if sharey else "y", color=RULE, linewidth=0.6, alpha=0.7)
        axes.set_axisbelow(True)
        axes.xaxis.label.set(color=SOFT, fontsize=9)
        axes.yaxis.label.set(color=SOFT, fontsize=9)
    return figure, made[:count]


def png(figure: "Figure", *, transparent: bool) -> bytes:
    buffer = io.BytesIO()
    without_version = {"Software": None}
    figure.savefig(
        buffer, format="png", dpi=DPI, transparent=transparent, metadata=without_version
    )
    return buffer.getvalue()
