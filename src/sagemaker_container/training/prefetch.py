"""Iteration that prepares the next item in a thread."""

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")
_POLL = 0.2  # seconds between checks whether the other side is still there


@dataclass(frozen=True)
class _End:
    error: BaseException | None = None


def prefetch(
    make: Callable[[Callable[[], bool]], Iterator[Item]], stopped: Callable[[], bool]
) -> Iterator[Item]:
    """Yield the items of `make`, which runs in a thread: one item is ready, one is being made.

    Args:
        make: gets a function that returns whether the items are no longer needed.
        stopped: called several times a second while the next item is not ready; ends the iteration.

    Raises: what `make` raises.
    """
    items: queue.Queue[Item | _End] = queue.Queue(maxsize=1)
    closed = threading.Event()

    def put(item: Item | _End) -> bool:
        while not closed.is_set():
            try:
                items.put(item, timeout=_POLL)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        end = _End()
        try:
            for item in make(closed.is_set):
                if not put(item):
                    return
                del item  # an item may be most of the memory
        except BaseException as error:  # noqa: BLE001
            end = _End(error)
        put(end)

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            try:
                item = items.get(timeout=_POLL)
            except queue.Empty:
                if stopped():
                    return
                continue
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
            del item
    finally:
        closed.set()
        thread.join()
