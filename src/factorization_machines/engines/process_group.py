"""The hosts of a job, as one of them sees them: what each sends, all have in the same order."""

import contextlib
import json
import os
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from factorization_machines.engines import network
from factorization_machines.errors import FactorizationMachinesError, PlatformError

os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")  # what it would print, our errors say

import torch  # noqa: E402
import torch.distributed  # noqa: E402

_distributed: Any = torch.distributed  # its types leave out what gloo alone has
_Gloo = _distributed.ProcessGroupGloo
# Nothing here is computed with torch: threads of its own only stand in the way of the wire's.
torch.set_num_threads(1)
Bytes = NDArray[np.uint8]
_PAUSE = 0.05
_FAREWELL = 5.0  # seconds at most that the store outlives a failure, so that all can read why
_LAST = timedelta(seconds=1)  # for the rest of an exchange that has failed
_FAILED = "failed"


class HostLost(PlatformError):
    """A host of the job is gone, or ended with an error of its own."""


class Group:
    """Hosts by rank, which is their place in the sorted list of names; the first is the master.

    Every method that talks is to be called by all of them, in the same order.
    """

    def __init__(
        self, host: str, hosts: Sequence[str], interface: str | None, port: int, patience: float
    ):
        """Meet the others.

        Args:
            host: the name of this one.
            hosts: the names of all.
            interface: of the network, where the job names one.
            port: of the master, where they meet.
            patience: seconds that they wait for one another, now and later.

        Raises: PlatformError that names who did not come, or is not to be reached.
        """
        self.names = sorted(hosts)
        self.rank = self.names.index(host)
        self.size = len(self.names)
        self.sent = 0  # bytes, to all others together
        self._gone: set[int] = set()  # ranks that will not read why
        self._patience = patience
        self._limit = timedelta(seconds=patience)
        until = time.monotonic() + patience
        if self.rank == 0:
            address = network.own_address(host, interface, "127.0.0.1")
            try:
                self._store = _distributed.TCPStore("0.0.0.0", port, None, True, self._limit, False)  # noqa: S104
            except RuntimeError as error:
                raise PlatformError(f"port {port} cannot be listened at: {_first(error)}") from None
        else:
            master = network.reach(self.names[0], port, until, patience)
            address = network.own_address(host, interface, master)
            self._store = _distributed.TCPStore(master, port, None, False, self._limit, False)
        try:
            self._meet(until)
            options = _Gloo._Options()
            options._devices = [_Gloo.create_device(hostname=address)]
            options._timeout = self._limit
            self._gloo = _Gloo(
                _distributed.PrefixStore("gloo", self._store), self.rank, self.size, options
            )
        except RuntimeError as error:
            raise self._lost(None, error) from None

    def _meet(self, until: float) -> None:
        """Return when all have come; without a wait that a signal could not end."""
        self._store.set(f"here/{self.rank}", "")
        absent = list(range(self.size))
        while absent := [rank for rank in absent if not self._store.check([f"here/{rank}"])]:
            if time.monotonic() > until:
                names = ", ".join(repr(self.names[rank]) for rank in absent)
                raise PlatformError(f"not there within {self._patience:g} s: {names}")
            time.sleep(_PAUSE)

    @property
    def others(self) -> list[int]:
        """Return the ranks of all but this one."""
        return [rank for rank in range(self.size) if rank != self.rank]

    def swap(self, parts: Sequence[NDArray[Any]]) -> None:
        """Send this host's part, and receive the others' into theirs: contiguous, one a rank."""
        tensors = [torch.from_numpy(part.view(np.uint8)) for part in parts]
        mine = tensors[self.rank]
        self.sent += mine.numel() * (self.size - 1)
        lost: list[tuple[int, RuntimeError]] = []

        def attempt(rank: int, call: Callable[..., Any], *arguments: Any) -> Any:
            try:
                return call(*arguments)
            except RuntimeError as error:
                lost.append((rank, error))
                return None

        work = [
            (rank, attempt(rank, self._gloo.recv, [tensors[rank]], rank, 0)) for rank in self.others
        ]
        work += [(rank, attempt(rank, self._gloo.send, [mine], rank, 0)) for rank in self.others]
        for rank, one in work:
            if one is not None:
                # Where one is lost, the others still get this host's part: they would wait for it,
                # and not learn who is lost, until this host ends and the master's store with it.
                attempt(rank, one.wait, _LAST if lost else self._limit)
        if lost:
            raise self._lost(*lost[0])

    def each(self, content: bytes) -> list[bytes]:
        """Return what every host gives, by rank."""
        sizes = self.numbers(np.array([len(content)], np.int64))[:, 0]
        parts = [np.zeros(max(1, size), np.uint8) for size in sizes.tolist()]
        parts[self.rank][: len(content)] = np.frombuffer(content, np.uint8)
        self.swap(parts)
        return [part[:size].tobytes() for part, size in zip(parts, sizes.tolist(), strict=True)]

    def numbers(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the arrays of one shape and type that every host gives, stacked by rank."""
        all_values = np.zeros((self.size, *values.shape), values.dtype)
        all_values[self.rank] = values
        if values.size:
            self.swap([part.reshape(-1) for part in all_values])
        return all_values

    def any(self, flag: bool) -> bool:
        """Return whether any host says so."""
        return bool(self.numbers(np.array([flag], np.uint8)).any())

    def of_master(self, content: bytes) -> bytes:
        """Return what the master gives."""
        return self.each(content if self.rank == 0 else b"")[0]

    def __enter__(self) -> "Group":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Tell the others why this host ends, where it ends with an error."""
        if error is None:
            return
        if not isinstance(error, HostLost):
            text = (
                error.failure_text()
                if isinstance(error, FactorizationMachinesError)
                else repr(error)
            )
            self._tell(f"host {self.names[self.rank]!r} ended: {text}")
        with contextlib.suppress(RuntimeError):  # the store may be gone with the master
            self._store.set(f"told/{self.rank}", "")
            if self.rank == 0:
                self._outlive()

    def _outlive(self) -> None:
        """Keep the store, which is the master's, until all who can still read why have done so."""
        until = time.monotonic() + _FAREWELL
        left = set(self.others) - self._gone
        while left and time.monotonic() < until:
            time.sleep(_PAUSE)
            left = {rank for rank in left if not self._store.check([f"told/{rank}"])}

    def _tell(self, text: str) -> str:
        """Make a reason known, unless there is one already; return the one that is known."""
        try:
            known = self._store.compare_set(_FAILED, "", json.dumps(text))
            return str(json.loads(known))
        except (RuntimeError, ValueError):
            return text

    def _lost(self, rank: int | None, error: RuntimeError) -> HostLost:
        """Return the error of a connection that broke, by what is known of who broke it."""
        time.sleep(0.2 if self.rank == 0 else 0.4)  # for who ends with a reason to tell it
        try:
            told = self._store.check([_FAILED])
        except RuntimeError:
            rank, told = 0, False  # the store is the master's
        name = self.names[rank] if rank is not None else "of the job"
        gone = "imed out" not in str(error)
        if gone and rank is not None:
            self._gone.add(rank)
        what = "is gone" if gone else "did not answer"
        text = f"host {name!r} {what} ({_first(error)})"
        if told or rank != 0:
            text = self._tell(text)
        return HostLost(f"{text}; training has ended on all hosts")


def _first(error: Exception) -> str:
    """Return the first line of what torch says, without the place in its source."""
    line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return line.split("] ", 1)[-1][:200]
