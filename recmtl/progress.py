"""Progress of long work: a bar with rate and time left on a terminal, nothing elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Progress:
    """Hands out bars. `SILENT` hands out none; `terminal()` decides by what standard error is."""

    def __init__(self, visible: bool) -> None:
        self._visible = visible

    @contextmanager
    def track(self, total: int | None, what: str) -> Iterator[Callable[[int], None]]:
        """Yield `advance(n)`; `total` is None where it is not known beforehand."""
        if not self._visible:
            yield lambda n: None
            return
        import rich.progress as bars
        from rich.console import Console

        columns = (
            bars.TextColumn("{task.description:28}"), bars.BarColumn(),
            bars.MofNCompleteColumn(), bars.TextColumn("{task.fields[rate]}"), bars.TimeRemainingColumn(),
        )
        with bars.Progress(*columns, console=Console(stderr=True), transient=True) as shown:
            task = shown.add_task(what, total=total, rate="")

            def advance(n: int) -> None:
                shown.update(task, advance=n)
                speed = shown.tasks[0].speed
                shown.update(task, rate=f"{speed:,.0f}/s" if speed else "")

            yield advance


SILENT = Progress(visible=False)


def terminal() -> Progress:
    """Bars where standard error is a terminal."""
    return Progress(visible=sys.stderr.isatty())
