"""Figures hold what they are given."""

from pathlib import Path

import numpy as np

from recmtl.page import by_day, day_map, heat_map, histograms, intervals, lines, save_figure


def test_heat_map_writes_the_figures_into_the_cells() -> None:
    figure = heat_map(np.array([[0.1, np.nan], [0.6, 0.4]]), ["ctr", "cvr"], ["e0", "e1"], "gates")
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["0.100", "0.600", "0.400"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["ctr", "cvr"]


def test_intervals_keep_a_line_for_each_model_in_every_panel() -> None:
    panels = {"ctr": {"a": (0.7, 0.6, 0.8), "b": (0.5, 0.4, 0.6)}, "cvr": {"b": (0.5, 0.4, 0.6)}}
    first, second = intervals(panels, "AUC", {"ctr": 0.7}).axes
    assert [label.get_text() for label in first.get_yticklabels()] == ["a", "b"]
    assert second.lines[0].get_ydata().tolist() == [1, 1]
    assert first.lines[0].get_xdata().tolist() == [0.6, 0.8]


def test_lines_draw_each_model_and_the_diagonal() -> None:
    figure = lines({"ctr": {"a": ([0.1, 0.2], [0.1, 0.3])}}, ("score", "rate"), diagonal=True)
    (axes,) = figure.axes
    drawn = [line.get_ydata() for line in axes.lines]
    assert list(drawn[0]) == [0.1, 0.3]
    assert list(drawn[1]) == [0, 0.3 * 1.05]


def test_lines_over_ratios_name_each_x() -> None:
    figure = lines({"rows": {"a": ([1000, 100000], [1, 2]), "b": ([10000], [3])}}, ("", "rate"), log=True)
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1,000", "10,000", "100,000"]


def test_histograms_count_in_the_same_bins_for_all() -> None:
    figure = histograms({"p": {"a": [0.0, 0.1, 1.0], "b": [0.9]}}, ("loss", "seeds"), bins=2)
    a, b = figure.axes[0].patches
    assert a.get_data().edges.tolist() == b.get_data().edges.tolist() == [0.0, 0.5, 1.0]
    assert (a.get_data().values.tolist(), b.get_data().values.tolist()) == ([2, 1], [0, 1])


def test_a_figure_is_saved_as_png_with_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        figure = lines({"ctr": {"a": ([1, 2], [0.1, 0.3])}}, ("epoch", "auc"))
        save_figure(figure, tmp_path / f"{name}.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_shares_and_maps_by_day() -> None:
    days = [f"2024-01-{n:02}" for n in range(1, 15)]
    shares = by_day({"click": [0.1] * 13 + [float("nan")], "sale": [0.0] * 14}, days)
    assert [label.get_text() for label in shares.axes[0].get_xticklabels()] == [
        "01-01", "01-05", "01-09", "01-13",
    ]
    found = day_map(np.full((2, 14), 0.3), ["user", "item"], days, "drift", top=0.25)
    assert [label.get_text() for label in found.axes[0].get_yticklabels()] == ["user", "item"]
    assert found.axes[0].get_title(loc="left") == "drift"
