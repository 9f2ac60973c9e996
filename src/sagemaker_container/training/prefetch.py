"""Items made ahead of their use, in a thread."""

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")
_MOMENT = 0.2  # seconds between two looks at whether the other side is still there


@dataclass(frozen=True)
class _End:
    error: BaseException | None = None


def ahead(
    make: Callable[[Callable[[], bool]], Iterator[Item]], stopped: Callable[[], bool]
) -> Iterator[Item]:
    """Yield what `make` yields, which runs in a thread: one item is ready, one is being made.

    `make` is given what tells whether the items are still wanted. While the next item is waited
    for, `stopped` is asked several times a second, and ends the iteration.

    Raises: what `make` raises.
    """
    items: queue.Queue[Item | _End] = queue.Queue(maxsize=1)
    closed = threading.Event()

    def put(item: Item | _End) -> bool:
        while not closed.is_set():
            try:
                items.put(item, timeout=_MOMENT)
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
                del item  # it may be all the memory that there is
        except BaseException as error:  # noqa: BLE001
            end = _End(error)
        put(end)

    thread = threading.Thread(target=work, name="ahead", daemon=True)
    thread.start()
    try:
        while True:
            try:
                item = items.get(timeout=_MOMENT)
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
