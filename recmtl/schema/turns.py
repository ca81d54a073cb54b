"""Which tasks of a model take turns, as a file names them: lists of tasks that are trained together."""

from collections.abc import Collection

from recmtl.errors import nearest

TurnTasks = tuple[tuple[str, ...], ...]


def refusal(turns: TurnTasks, losses: Collection[str]) -> str | None:
    """Why tasks with a loss, all of them, cannot take these turns; None where they can."""
    named = [task for turn in turns for task in turn]
    if turns and (len(turns) < 2 or not all(turns)):
        return 'turns: two lists of tasks or more, none empty, e.g. [["ctr", "cvr"], ["age"]]'
    for task in named:
        if task not in losses:
            return f"turns: {task!r} has no loss; {nearest(task, losses)}"
        if named.count(task) > 1:
            return f"turns: {task!r} stands there twice; a task has one turn"
    left = [task for task in losses if turns and task not in named]
    return f"turns: {left[0]!r} has a loss and no turn; add it to one" if left else None
