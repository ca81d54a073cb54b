"""The results of the benchmarks in, docs/benchmarks.md and its figures out.

    python benchmarks/report.py

Each script that measures leaves its result in .peers/runs/results; what was never measured has no
section.
"""

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks.measure import HERE, RESULTS
from recmtl.page import intervals, lines, save_figure

DOCS = HERE.parent / "docs"
TITLES = {"mmoe": "MMoE", "shared_bottom": "Shared-Bottom", "esmm": "ESMM"}
Result = Mapping[str, Any]

INTRODUCTION = """\
`make bench` writes this page. W1: 2M impressions of 1M users in 10 Parquet files, 16 categorical \
columns, 8 floats with nulls, two list columns; click 5 %, conversion 8 % of clicks. W1a is W1 without \
the lists. MMoE: 4 experts of 256-128, towers 64-32; Shared-Bottom: 256-128, towers 64-32; ESMM: towers \
256-128-64. Embedding 16, batch 4096, one epoch. On a GPU: [gpu.md](gpu.md)."""

RACE = """\
All processes live at once and work block by block in turns; two steps before a block of training are \
not timed, of anyone, as they find caches as another process left them. A ratio is the median (least to \
most) over the turns, each block divided by the other's of the same turn. Bare rates depend on what else \
the machine does: compare the ratios. Peers: torch-rechub 0.9.0 and deepctr-torch 0.3.0, from arrays in \
memory; recmtl's rate includes its own loader, from shards on disk. *Own loader*: as the library's \
documentation trains, with a table of the million users that the log's source has; *batches cut*: \
batches are cut for it by index, and the table holds only the users that occur on train: its best case. \
The peers' Adam touches every row of every table at each step. torch-rechub's ESMM reads no numbers, and \
so has smaller products. The floor is the sum of what a step cannot do without, below."""


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    body = [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *body])


def megabytes(count: float) -> str:
    return f"{count / 1e6:,.0f}"


def spread(values: Sequence[float], form: str = ",.0f") -> str:
    """Median, least and most."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def step_table(steps: Result) -> str:
    head = ["step", "rows", "seconds", "rows/s", "anonymous memory, MB", "with mapped files, MB"]
    return table(head, (
        [name, f"{found['rows']:,}", f"{found['seconds']:.1f}",
         f"{found['rows'] / found.get('loop_seconds', found['seconds']):,.0f}",
         megabytes(found["anonymous"]), megabytes(found["resident"])]
        for name, found in steps.items()
    ))


def preparing_table(found: Result) -> str:
    """Each part's median seconds, of recmtl and of the peers' way."""
    ours, theirs = found["recmtl"], found["peers"]
    rows = []
    for part in ("decode", "fit", "encode"):
        own = statistics.median(turn[part]["seconds"] for turn in ours)
        other = statistics.median(turn[part] for turn in theirs)
        rows.append([part, f"{own:.1f}", f"{other:.1f}"])
    peaks = [max(turn[part]["anonymous"] for turn in ours for part in turn),
             max(turn["anonymous"] for turn in theirs)]
    rows.append(["anonymous memory, MB", *map(megabytes, peaks)])
    return table(["", f"recmtl, {ours[0]['decode']['rows']:,} rows",
                  f"pandas and LabelEncoder, {theirs[0]['rows']:,} rows"], rows)


def race_table(rates: Mapping[str, Sequence[float]], resident: Mapping[str, float]) -> str:
    """Rates and memory of each, and how many times its rate recmtl's is."""
    ours = {name: found for name, found in rates.items() if name.startswith("recmtl")}
    return table(
        ["", "rows/s", "memory, MB", *(f"{name} is … times as fast" for name in ours)],
        ([name, f"{statistics.median(found):,.0f}", megabytes(resident[name]),
          *(spread([a / b for a, b in zip(own, found, strict=True)], ".2f") for own in ours.values())]
         for name, found in rates.items()),
    )


def floor_table(parts: Mapping[str, Sequence[Result]]) -> str:
    """The parts of a floor in each precision."""
    head = ["part of a step of MMoE", "times", *(f"{name}: ms each | rate" for name in parts)]
    rows = []
    for same in zip(*parts.values(), strict=True):
        measured = [f"{p['seconds'] * 1e3:.2f} | {p['rate']:,.3g} {p['unit']}" for p in same]
        rows.append([same[0]["name"], same[0]["times"] or "not counted", *measured])
    sums = (sum(p["seconds"] * p["times"] for p in found) for found in parts.values())
    rows.append(["**floor**", "", *(f"**{seconds * 1e3:.1f}** | " for seconds in sums)])
    return table(head, rows).replace("|---" * len(head), "|---" * (2 + 2 * len(parts)), 1)


def race_section(found: Result) -> list[str]:
    races = found["races"]
    figure = intervals(
        {TITLES[model]: {name: tuple(v / 1e3 for v in (statistics.median(r), min(r), max(r)))
                         for name, r in race["train"].items()} for model, race in races.items()},
        "thousand rows a second", {},
    )
    save_figure(figure, DOCS / "images" / "bench-training.png")
    parts = ["## Training on W1a, in turns with the floor and the peers", RACE,
             "![Rates of training](images/bench-training.png)"]
    for model, race in races.items():
        parts += [f"### {TITLES[model]}", race_table(race["train"], race["resident"])]
    first = races["mmoe"]
    memory = {n.removesuffix(", scoring"): v for n, v in first["resident"].items()
              if n.endswith(", scoring") or not n.startswith("recmtl")}
    return [
        *parts, "## Scoring W1a with MMoE, in turns",
        "recmtl reads Parquet and writes Parquet; the peers score arrays in memory, already encoded.",
        race_table(first["score"], memory),
        "## The floor: this machine's rates at the shapes of a step", floor_table(first["floor"]),
    ]


def w1_section(found: Result) -> list[str]:
    return [
        "## Each step on W1a", step_table(found["steps"]),
        "In a process of its own, libraries and files included; the rate of training is that of the "
        "loop, in fp32. *Encode* fits vocabularies first. Scoring reads all ten files.",
        "## Each step on W1, lists included", step_table(found["lists"]),
        "## Decoding, fitting, encoding, beside what the peers' documentation does",
        preparing_table(found["preparing"]),
        "Seconds, medians of runs in turns. recmtl's *encode* fits as well and writes shards; *decode* "
        "and *fit* are measured alone. Each is a process of its own, whose libraries are loaded in that "
        "time, and whose memory is the machine's to find; without that: [encoding.md](encoding.md).",
        *race_section(found),
        "## One training step of MMoE, profiled (W1, fp32)", found["profile"].strip(),
    ]


def sweeps_section(found: Result) -> list[str]:
    names = {"users": "more users in the table", "batch": "rows in a batch", "experts": "experts"}
    kinds = [kind for kind in ("fp32", "bf16") if kind in found]
    panels: dict[str, dict[str, tuple[list[float], list[float]]]] = {}
    tables = []
    for name, title in names.items():
        panel = panels[title] = {}
        columns = []
        for kind in kinds:
            swept = found[kind][name]
            rates = [statistics.median(r) for r in swept["rates"]]
            panel[kind] = (swept["settings"], [r / 1e3 for r in rates])
            columns.append([spread(r) for r in swept["rates"]])
            if swept["floors"]:
                panel[f"floor {kind}"] = (swept["settings"], [r / 1e3 for r in swept["floors"]])
                columns.append([f"{a / b:.0%}" for a, b in zip(rates, swept["floors"], strict=True)])
        swept = found[kinds[0]][name]
        parts = ["rows/s", "of the floor"] if swept["floors"] else ["rows/s"]
        head = [title, *(f"{kind}: {part}" for kind in kinds for part in parts)]
        tables.append(table(head, zip((f"{s:,}" for s in swept["settings"]), *columns, strict=True)))
    figure = lines(panels, ("", "thousand rows a second"), log=True)
    save_figure(figure, DOCS / "images" / "bench-sweeps.png")
    return ["## A step of MMoE as its settings grow", "![Sweeps](images/bench-sweeps.png)",
            "Each setting in turns with the others, batches ready in memory. Users of a batch are drawn "
            "evenly from all, so that hardly one comes twice: no cache helps.", *tables]


def memory_section(found: Result) -> list[str]:
    head = ["rows of the log", "users", "step", "seconds", "rows/s", "anonymous memory, MB",
            "with mapped files, MB"]
    rows = [
        [f"{log['rows']:,}{', limited' if log['under'] else ''}", f"{log['users']:,}", name,
         f"{step['seconds']:.1f}", f"{step['rows'] / step.get('loop_seconds', step['seconds']):,.0f}",
         megabytes(step["anonymous"]), megabytes(step["resident"])]
        for log in found["logs"] for name, step in log["steps"].items()
    ]
    limited = [f"Limited: every step went through under `{under}`."
               for under in sorted({log["under"] for log in found["logs"]} - {""})]
    return ["## Larger logs, larger tables: W1a's rows repeated", table(head, rows),
            "MMoE in bf16 where the processor has it; the most memory of each process over time.",
            *limited]


def bf16_section(found: Result) -> list[str]:
    head = ["task", "measure on valid", "fp32", "bf16", "bf16 − fp32 (95 %)"]
    rows = [
        [task, name, *(f"{statistics.mean(measured[kind]):.5f}" for kind in ("fp32", "bf16")),
         f"{measured['difference']:+.5f} ({measured['low']:+.5f} to {measured['high']:+.5f})"]
        for task, measures in found["tasks"].items() for name, measured in measures.items()
    ]
    return [f"## bf16 beside fp32 on torch's operators, {len(found['seeds'])} seeds", table(head, rows),
            f"MMoE on W1a after one epoch, means over seeds, on valid: {found['rows']:,} rows, "
            f"{found['clicks']:,} clicks, {found['conversions']:,} conversions. Distances are to the "
            "probabilities that the log was drawn from; divergence is Kullback and Leibler's, in nats. "
            "Intervals: paired, over users and seeds."]


def score_section(found: Result) -> list[str]:
    rates: Mapping[str, Sequence[float]] = found["rates"]
    alone = {n: r for n, r in rates.items() if not n.startswith(("score", "command"))}
    chosen = [name.removeprefix("score ") for name in rates if name.startswith("score ")]
    head = ["from Parquet to Parquet", "rows/s", "its parts in series, rows/s", "share of that",
            f"`recmtl score` of {found['rows']:,} rows, seconds"]
    return [
        "## Scoring beside its own parts",
        table(["alone", "rows/s"], ([name, spread(rate)] for name, rate in alone.items())),
        table(head, (whole(rates, precision, found["rows"]) for precision in chosen)),
        "MMoE over the files of W1a, in turns in which everything is done once; a share is taken turn "
        "by turn. Alone, each part has all cores, but for writing, which has one. *model* is look-up, "
        f"layers and scores of encoded rows in batches of {found['batch']:,}; *encode* takes as many at "
        "a time. The rate from Parquet to Parquet is that of a process that has loaded the model, the "
        "seconds are those of the command, its start included. `python benchmarks/score.py` measures it.",
    ]


def whole(rates: Mapping[str, Sequence[float]], precision: str, rows: int) -> list[str]:
    """Scoring in one precision: its rate, that of its parts one after the other, and seconds."""
    found, parts = rates[f"score {precision}"], ("decode", "encode", f"model {precision}", "write")
    series = [1 / sum(1 / rate for rate in turn)
              for turn in zip(*(rates[name] for name in parts), strict=True)]
    shares = [ours / theirs for ours, theirs in zip(found, series, strict=True)]
    seconds = [rows / rate for rate in rates[f"command {precision}"]]
    return [precision, spread(found), spread(series), spread(shares, ".2f"), spread(seconds, ".1f")]


def kill_section(found: Result) -> list[str]:
    return ["## Killed and gone on",
            f"{TITLES[found['model']]} on {found['rows']:,} rows, killed {len(found['places'])} times at "
            f"random moments; runs that came to the end: {found['ended']}, each with the weights of an "
            "undisturbed one, byte for byte. `W1=FOLDER python benchmarks/kill_train.py "
            f"benchmarks/w1a.toml OUT {found['model']}`; OUT holds W1a's shards."]


SECTIONS: dict[str, Callable[[Result], list[str]]] = {
    "w1": w1_section, "score": score_section, "sweeps": sweeps_section, "memory": memory_section,
    "bf16": bf16_section, "kill_train": kill_section,
}


def main() -> None:
    page, said = ["# Speed and memory on W1", INTRODUCTION], ""
    for name, section in SECTIONS.items():
        file = RESULTS / f"{name}.json"
        if not file.exists():
            continue
        found = json.loads(file.read_text())
        parts = section(found)
        if found["machine"] != said:
            said = found["machine"]
            parts.insert(1 if len(page) > 2 else 0, said)
        page += parts
    (DOCS / "benchmarks.md").write_text("\n\n".join(page) + "\n")


if __name__ == "__main__":
    main()
