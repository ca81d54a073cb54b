"""An iterator in, the same items out, made ahead of their use by one background thread."""

from collections.abc import Generator, Iterator
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")
_DONE = object()
_POLL_S = 0.1


def prefetched(items: Iterator[T], ahead: int) -> Generator[T]:
    """Yield `items`, up to `ahead` of them made beforehand.

    What `items` raises is raised here, after the items before it. The thread ends when the caller
    stops reading, for whatever reason.
    """
    queue: Queue[object] = Queue(maxsize=ahead)
    stopped = Event()
    thread = Thread(target=_fill, args=(items, queue, stopped), daemon=True, name="recmtl-prefetch")
    thread.start()
    try:
        while (item := queue.get()) is not _DONE:
            if isinstance(item, _Failure):
                raise item.error
            yield item  # type: ignore[misc]
    finally:
        stopped.set()
        _drain(queue)
        thread.join()


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


def _fill(items: Iterator[object], queue: "Queue[object]", stopped: Event) -> None:
    try:
        for item in items:
            if not _put(queue, item, stopped):
                return
        _put(queue, _DONE, stopped)
    except BaseException as error:  # the reader decides what it means
        _put(queue, _Failure(error), stopped)


def _put(queue: "Queue[object]", item: object, stopped: Event) -> bool:
    """Whether the item was taken: a reader that stopped takes none."""
    while not stopped.is_set():
        try:
            queue.put(item, timeout=_POLL_S)
        except Full:
            continue
        return True
    return False


def _drain(queue: "Queue[object]") -> None:
    try:
        while True:
            queue.get_nowait()
    except Empty:
        pass
