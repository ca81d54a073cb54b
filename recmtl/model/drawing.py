"""A model → an SVG of it, from features to tasks: what its parts say of themselves, put together."""

from collections.abc import Sequence

from recmtl.batch import Slot
from recmtl.model.boxes import box, distinct, parameters
from recmtl.model.embedding import Embedding
from recmtl.model.multitask import MultiTask, parameter_count
from recmtl.model.relation.derived import derivable
from recmtl.model.sharing.options import ALL
from recmtl.page import Block, diagram
from recmtl.schema import Task

NAMED = 4  # features of a group by name, those of most values first


def draw(model: MultiTask, name: str) -> str:
    """The drawing of a model called `name`; nothing here asks which parts it has."""
    views = model.sharing.drawn(model.interaction.drawn(_views(model.embedding)))
    read = model.relation.drawn_views(views)
    raw = {
        task: box(f"tower of {task}", tower, [read[task]], role="tower")
        for task, tower in model.towers.items()
    }
    given = model.relation.drawn_outputs(raw, read)
    ends = [_task(task, of, [given[task]]) for task, of in model.tasks.items() if task in given]
    for task, identity in derivable(model.tasks, frozenset(given)).items():
        sources = [t for t in (identity.product, *identity.factors) if t != task]
        ends.append(_task(task, model.tasks[task], [given[t] for t in sources], derived=True))
    count = parameter_count(model)
    return diagram(
        ends, name, f"{count['tables']:,} parameters in tables, {count['dense']:,} in layers",
        broken="broken lines: what gates are made from, or what is read without a gradient",
    )


def _task(name: str, task: Task, reads: Sequence[Block], derived: bool = False) -> Block:
    given = f" | {task.given}" if task.given else ""
    meaning = f"P({task.label}{given})" if task.type == "binary" else f"E[{task.label}{given}]"
    return Block(name, (meaning, *(["derived"] if derived else [])), distinct(reads), role="task")


def _views(embedding: Embedding) -> dict[str, Block]:
    """The box of each task's view, and that of all tasks where tables are shared: one where it is one."""
    layout, columns = embedding.layout, embedding.columns.width
    sources = []
    for width, rows in sorted(layout.tables.items()):
        groups = [_group(name, [s for s in slots if s.width == width])
                  for name, slots in (("an id", layout.slots), ("a list of ids", layout.lists))]
        each = f" × {embedding.copies} copies" if embedding.copies > 1 else ""
        sources.append(Block(
            f"table of width {width}",
            (f"{rows:,} rows{each}", f"{rows * width * embedding.copies:,} parameters"),
            tuple(group for group in groups if group), role="tables", columns=width,
        ))
    pooled = list(embedding.pooled.parameters())
    if pooled:
        names = tuple(embedding.pooled.names)
        sources.append(Block("attention over lists", (*names, parameters(pooled)), tuple(sources)))
    if layout.dense:
        sources.append(_numbers(embedding))

    def view(title: str) -> Block:
        return Block(title, (f"{columns:,} columns",), tuple(sources), role="view", columns=columns)

    names = embedding.of.names
    boxes = {name: view(_title(name, len(names))) for name in names}
    of_tasks = {task: boxes[task if task in boxes else ALL] for task in embedding.of.tasks}
    return {**of_tasks, **boxes}


def _title(view: str, count: int) -> str:
    return "view" if count == 1 else f"view of {'all tasks' if view == ALL else view}"


def _group(kind: str, slots: Sequence[Slot]) -> Block | None:
    """Features that are looked up in one table in one way."""
    if not slots:
        return None
    most = sorted(slots, key=lambda slot: -slot.size)[:NAMED]
    lines = [f"{slot.name}: {slot.size:,} values" for slot in most] + _rest(len(slots))
    return Block(_features(len(slots), kind), tuple(lines), role="features")


def _numbers(embedding: Embedding) -> Block:
    """Columns that come as they are."""
    dense = embedding.layout.dense
    most = sorted(dense, key=lambda name: -dense[name])[:NAMED]
    lines = [f"{name}: {dense[name]:,} columns" for name in most] + _rest(len(dense))
    title = _features(len(dense), "numbers")
    return Block(title, tuple(lines), role="features", columns=sum(dense.values()))


def _features(count: int, kind: str) -> str:
    return f"{count} feature{'s' if count > 1 else ''}: {kind}"


def _rest(count: int) -> list[str]:
    return [f"and {count - NAMED} more"] if count > NAMED else []
