"""The report as a page: findings first, then what was measured, in pictures and tables."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from recmtl.data.contract.report import Report, levels_text
from recmtl.page import Cell, Page, Tone, by_day, day_map

TONES: Mapping[str, Tone] = {"error": "bad", "warning": "even", "note": "quiet"}
MOST_ROWS = 24  # of a map of colours
MOST_DAYS = 62
LEAST = 0.02  # of a line's largest value, below which it is not drawn
Measured = Mapping[str, Any]  # a column on a day, as the report has it


def contract_page(report: Report) -> str:
    days = list(report["days"])
    span = f"{len(days)} days, {days[0]} to {days[-1]}" if days != ["undated"] else "no days"
    lead = f"{levels_text(report)}. {report['rows']:,} rows, {span}."
    page = Page(f"{report['name']}: data contract", lead)
    _findings(page, report)
    if not all(day["columns"] for day in report["days"].values()):
        return page.html()
    if len(days) > 1:
        _rows(page, report)
        _labels(page, report)
        _maps(page, report)
    _funnels(page, report)
    _events(page, report)
    _leakage(page, report)
    _columns(page, report)
    return page.html()


def _findings(page: Page, report: Report) -> None:
    page.heading("Findings")
    if not report["findings"]:
        page.text("None: the log is what it is held to.")
        return
    page.table(["", "check", "column", "day", "found", "expected", "to do"], [
        [Cell(f["level"], tone=TONES[f["level"]]), f["check"], f["column"], f["day"],
         f["found"], f["expected"], f["fix"]]
        for f in report["findings"]
    ])
    page.note("An error stops the run before anything is trained. Where several days are concerned, "
              "the worst one is named. Limits: the section [contract] of the configuration.")


def _rows(page: Page, report: Report) -> None:
    days = _recent(report)
    page.heading("Rows by day")
    rows = {"rows": [day["rows"] for day in days.values()]}
    page.figure(by_day(rows, list(days), shares=False), "Impressions among the examples of each day.")


def _labels(page: Page, report: Report) -> None:
    days = _recent(report)
    panels = {}
    for label in next(iter(days.values()))["labels"]:
        counts = [(day["labels"][label], day["rows"]) for day in days.values()]
        panels[label] = [
            c["positives"] / (rows - c["nulls"]) if rows > c["nulls"] else np.nan for c, rows in counts
        ]
    page.heading("Labels by day")
    page.figure(by_day(panels, list(days)), "Share of rows above 0 among those where the label is known.")


def _maps(page: Page, report: Report) -> None:
    limits = report["limits"]
    top = limits["drift"]["warning"] or 0.25
    page.heading("Columns by day")
    _map(page, report, "drift since the first day", lambda c: c["drift"].get("first", (None,))[0], top)
    _map(page, report, "drift since the day before", lambda c: c["drift"].get("before", (None,))[0], top)
    _map(page, report, "share of nulls", lambda c: c["nulls"], 1.0)
    _map(page, report, "share of values not seen before", lambda c: c["unknown"], 1.0)
    page.note(f"Drift: population stability index, the darkest colour {top:g} or more. The largest "
              f"{MOST_ROWS} lines are drawn, and none that stays below {LEAST:g}.")


def _map(
    page: Page, report: Report, title: str, read: Callable[[Measured], float | None], top: float
) -> None:
    days = _recent(report)
    names = list(next(iter(days.values()))["columns"])
    found = np.array([[read(day["columns"][n]) for day in days.values()] for n in names], dtype=float)
    height = np.nan_to_num(found).max(axis=1)
    order = [row for row in np.argsort(-height, kind="stable")[:MOST_ROWS] if height[row] >= LEAST]
    if order:
        page.figure(day_map(found[order], [names[row] for row in order], list(days), title, top))


def _recent(report: Report) -> dict[str, Any]:
    """The days that a picture has room for."""
    return dict(list(report["days"].items())[-MOST_DAYS:])


def _funnels(page: Page, report: Report) -> None:
    totals: dict[tuple[str, str], list[int]] = {}
    for pair in (p for day in report["days"].values() for p in (*day["breaks"], *day["outcomes"])):
        total = totals.setdefault((pair["earlier"], pair["later"]), [0, 0])
        total[0] += pair["positives"]
        total[1] += pair["without"]
    if totals:
        page.heading("Funnels")
        page.table(["later step", "rows", "earlier step", "without it", "share"], [
            [later, positives, earlier, without, f"{100 * without / max(positives, 1):.2f} %"]
            for (earlier, later), (positives, without) in sorted(totals.items())
        ])


def _events(page: Page, report: Report) -> None:
    if report["events"]:
        page.heading("Events")
        names = list(dict.fromkeys(name for counts in report["events"].values() for name in counts))
        page.table(["source", *(name.replace("_", " ") for name in names)], [
            [source, *(counts.get(name) for name in names)] for source, counts in report["events"].items()
        ])


def _leakage(page: Page, report: Report) -> None:
    spaces = list(dict.fromkeys((s["label"], s["given"]) for s in report["leakage"]))
    found: dict[str, dict[tuple[str, str | None], float | None]] = {}
    for strength in report["leakage"]:
        found.setdefault(strength["column"], {})[strength["label"], strength["given"]] = strength["auc"]
    order = sorted(found, key=lambda column: -max(a or 0.0 for a in found[column].values()))
    if order:
        page.heading("What one column alone says")
        page.table(["column", *(f"{label} given {g}" if g else label for label, g in spaces)], [
            [column, *(_decimals(found[column].get(space)) for space in spaces)] for column in order[:12]
        ])
        page.note("AUC of a column by itself: numbers by value, ids by the rate of their label on the "
                  "other half of the rows. The 12 strongest columns.")


def _columns(page: Page, report: Report) -> None:
    name, day = list(report["days"].items())[-1]
    page.heading("Columns" if name == "undated" else f"Columns on {name}")
    page.table(["column", "nulls", "zeros", "unknown", "distinct", "least", "most"], [
        [column, *(_percent(c[part]) for part in ("nulls", "zeros", "unknown")), c["distinct"],
         *(_short(c["extent"]) if c["extent"] else (None, None))]
        for column, c in day["columns"].items()
    ])


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.2f} %"


def _decimals(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"


def _short(extent: tuple[str, str]) -> tuple[str, str]:
    low, high = (text if len(text) <= 20 else f"{text[:19]}…" for text in extent)
    return low, high
