"""Collects items while requests are answered, and hands them over in batches in a thread."""

import sys
import threading
import traceback
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
_INTERVAL = 1.0  # seconds between two deliveries


class Batches(Generic[Key, Item]):
    """Items by key. A thread sends all items of a key at once, about a second after they came."""

    def __init__(self, send: Callable[[Key, list[Item]], None]):
        """Start the thread.

        Args:
            send: delivers the items of a key; what it raises goes to stderr.
        """
        self._send = send
        self._items: dict[Key, list[Item]] = {}
        self._lock, self._sending = threading.Lock(), threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def add(self, key: Key, item: Item) -> None:
        """Add an item; takes microseconds."""
        with self._lock:
            self._items.setdefault(key, []).append(item)

    def flush(self) -> None:
        """Return when all items that were added before this call are delivered."""
        with self._sending:
            with self._lock:
                items, self._items = self._items, {}
            for key, batch in items.items():
                try:
                    self._send(key, batch)
                except Exception:
                    sys.stderr.write(
                        f"{len(batch)} items of {key} are lost:\n{traceback.format_exc()}"
                    )

    def stop(self, deliver: bool = True) -> None:
        """Stop the thread; deliver the last items, or drop them."""
        self._stopped.set()
        self._thread.join()
        if deliver:
            self.flush()

    def _run(self) -> None:
        while not self._stopped.wait(_INTERVAL):
            self.flush()
