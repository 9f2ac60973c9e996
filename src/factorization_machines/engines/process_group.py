"""The process group of a job with several hosts, over torch.distributed's gloo backend."""

import contextlib
import json
import queue
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed

from factorization_machines.errors import FactorizationMachinesError, PlatformError, UserError

# Nothing here is computed with torch, whose own threads only delay the threads of gloo.
torch.set_num_threads(1)
_POLL = 0.05  # seconds between two looks at the store
_STORE_LIMIT = 5.0  # seconds that a call to the store may take after a failure
_DRAIN = timedelta(seconds=1)  # for the rest of an exchange in which a host was lost
_REASON = "reason"  # the key of the store that holds why the job failed


class HostLost(PlatformError):
    """Another host of the job died, stopped answering, or ended with an error of its own."""


class ProcessGroup:
    """The hosts of a job. A host's rank is its place among the sorted names; rank 0 is the master.

    All hosts must call the same methods in the same order. A process can have one such group at a
    time, since it is torch's default group. Gloo uses the network interface that the environment
    variable GLOO_SOCKET_IFNAME names.
    """

    def __init__(self, host: str, hosts: Sequence[str], address: str, port: int, timeout: float):
        """Wait until all hosts have joined.

        Args:
            host: the name of this host.
            hosts: the names of all hosts.
            address: of the master; ignored on the master, which listens at all its addresses.
            port: of the master.
            timeout: seconds that the hosts wait for one another, now and in each exchange.

        Raises: PlatformError that names the hosts which have not joined in time; UserError if a
            host was started with other hosts; HostLost.
        """
        self.names = sorted(hosts)
        self.rank = self.names.index(host)
        self.size = len(self.names)
        self.sent = 0  # bytes, to all other hosts together
        self._timeout = timedelta(seconds=timeout)
        self._lost: set[int] = set()  # ranks that will not read the reason of a failure
        master = self.rank == 0
        try:
            self._store = distributed.TCPStore(  # type: ignore[attr-defined]  # torch's stub omits it
                "0.0.0.0" if master else address,  # noqa: S104
                port,
                is_master=master,
                timeout=self._timeout,
                wait_for_workers=False,
            )
        except RuntimeError as error:
            action = "cannot listen at" if master else f"cannot connect to {self.names[0]!r} at"
            raise PlatformError(f"{action} port {port}: {_summary(error)}") from None
        self._wait_for_hosts(timeout)
        try:
            distributed.init_process_group(
                "gloo",
                store=self._store,
                rank=self.rank,
                world_size=self.size,
                timeout=self._timeout,
            )
        except RuntimeError as error:
            raise HostLost(f"the hosts cannot connect to one another: {_summary(error)}") from None

    def _wait_for_hosts(self, timeout: float) -> None:
        """Wait for all hosts by polling, because a signal cannot interrupt a wait of the store."""
        deadline = time.monotonic() + timeout
        absent = list(range(self.size))
        try:
            self._store.set(f"joined/{self.rank}", json.dumps(self.names))
            while absent := [rank for rank in absent if not self._has_joined(rank)]:
                if time.monotonic() > deadline:
                    names = ", ".join(repr(self.names[rank]) for rank in absent)
                    raise PlatformError(f"not there within {timeout:g} s: {names}")
                time.sleep(_POLL)
        except RuntimeError as error:
            raise HostLost(f"host {self.names[0]!r} is gone ({_summary(error)})") from None

    def _has_joined(self, rank: int) -> bool:
        """Return whether a host has joined; UserError if it was started with other hosts."""
        if not self._store.check([f"joined/{rank}"]):
            return False
        names = json.loads(self._store.get(f"joined/{rank}"))
        if names != self.names:
            raise UserError(
                f"host {self.names[rank]!r} has the hosts {', '.join(names)}; "
                f"{self.names[self.rank]!r} has {', '.join(self.names)}"
            )
        return True

    @property
    def others(self) -> list[int]:
        """Return the ranks of the other hosts."""
        return [rank for rank in range(self.size) if rank != self.rank]

    def all_gather_into(self, parts: Sequence[NDArray[Any]]) -> None:
        """Send this host's part, and receive the others' parts into their memory.

        Sends and receives are used because all_gather needs parts of one size, and its errors do
        not tell which rank failed.

        Args:
            parts: a contiguous array for each rank; the lengths may differ, and must be known to
                all hosts.

        Raises: HostLost.
        """
        tensors = [torch.from_numpy(part.view(np.uint8)) for part in parts]
        self.sent += tensors[self.rank].numel() * (self.size - 1)
        if failures := self._exchange(tensors):
            raise self._host_lost(failures)

    def _exchange(self, tensors: Sequence[torch.Tensor]) -> list[tuple[int, RuntimeError]]:
        """Send and receive; return the ranks with which it failed, with the errors.

        The errors have no traceback: it would keep the connections open after the group has ended.
        """
        own = tensors[self.rank]
        failures: list[tuple[int, RuntimeError]] = []
        pending: list[tuple[int, Any]] = []
        for rank in self.others:
            try:
                pending.append((rank, distributed.irecv(tensors[rank], rank)))
                pending.append((rank, distributed.isend(own, rank)))
            except RuntimeError as error:
                failures.append((rank, error.with_traceback(None)))
        for rank, work in pending:
            try:
                # After a failure the remaining hosts still get this host's part: else they wait
                # for it, and see this host end before they see which host was lost.
                work.wait(_DRAIN if failures else self._timeout)
            except RuntimeError as error:
                failures.append((rank, error.with_traceback(None)))
        return failures

    def all_gather(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the arrays of all hosts, stacked by rank; they have the same shape and dtype."""
        stacked = np.zeros((self.size, *values.shape), values.dtype)
        stacked[self.rank] = values
        if values.size:
            self.all_gather_into([part.reshape(-1) for part in stacked])
        return stacked

    def all_gather_bytes(self, content: bytes) -> list[bytes]:
        """Return the contents of all hosts, by rank."""
        sizes = self.all_gather(np.array([len(content)], np.int64))[:, 0].tolist()
        parts = [np.zeros(max(1, size), np.uint8) for size in sizes]
        parts[self.rank][: len(content)] = np.frombuffer(content, np.uint8)
        self.all_gather_into(parts)
        return [part[:size].tobytes() for part, size in zip(parts, sizes, strict=True)]

    def any_reduce(self, flag: bool) -> bool:
        """Return whether the flag is set on any host."""
        return bool(self.all_gather(np.array([flag], np.uint8)).any())

    def broadcast(self, content: bytes) -> bytes:
        """Return the content of the master; that of the other hosts is ignored."""
        return self.all_gather_bytes(content if self.rank == 0 else b"")[0]

    def __enter__(self) -> "ProcessGroup":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the group; if this host ends with an error, let the other hosts read it first."""
        with contextlib.suppress(RuntimeError):  # the store ends with the master
            if error is not None and not isinstance(error, HostLost):
                text = repr(error)
                if isinstance(error, FactorizationMachinesError):
                    text = error.failure_text()
                self._publish(f"host {self.names[self.rank]!r} ended: {text}")
        # This closes the connections. A host that waits for this one reads the reason now, and not
        # when the store has ended with the master.
        distributed.destroy_process_group()
        if error is not None:
            with contextlib.suppress(RuntimeError):
                self._wait_for_readers()

    def _wait_for_readers(self) -> None:
        """Keep the master's store until the other hosts have read why the job ends."""
        self._call_store(self._store.set, f"read/{self.rank}", "")
        deadline = time.monotonic() + _STORE_LIMIT
        readers = set(self.others) - self._lost if self.rank == 0 else set()
        while readers and time.monotonic() < deadline:
            time.sleep(_POLL)
            readers = {rank for rank in readers if not self._store.check([f"read/{rank}"])}

    def _host_lost(self, failures: Sequence[tuple[int, RuntimeError]]) -> HostLost:
        """Return the error for failed exchanges, by rank, with the reason that all hosts report."""
        rank, error = failures[0]
        timed_out = "imed out" in str(error)  # gloo has no type of exception for it
        try:
            # A host that closes its connections because it fails publishes the reason, at the
            # latest when it has drained its exchange. The master looks for less time than the
            # others, who may have to wait for what it publishes.
            reason = self._reason(0 if timed_out else 0.5 if self.rank == 0 else 3)
            if reason is None:
                # The store works, so that the master is alive unless it alone has failed.
                if not timed_out:
                    rank, error = next((item for item in failures if item[0] != 0), failures[0])
                    self._lost.add(rank)
                state = "did not answer" if timed_out else "is gone"
                reason = self._publish(f"host {self.names[rank]!r} {state} ({_summary(error)})")
        except RuntimeError:
            self._lost.add(0)
            state = "did not answer" if timed_out else "is gone"
            reason = f"host {self.names[0]!r} {state} ({_summary(error)})"
        return HostLost(f"{reason}; training has ended on all hosts")

    def _reason(self, seconds: float) -> str | None:
        """Return the published reason; None if there is none after some seconds."""
        deadline = time.monotonic() + seconds
        while not self._call_store(self._store.check, [_REASON]):
            if time.monotonic() > deadline:
                return None
            time.sleep(_POLL)
        return str(json.loads(self._call_store(self._store.get, _REASON)))

    def _publish(self, reason: str) -> str:
        """Publish a reason, unless there is one already; return the one that is published."""
        published = self._call_store(self._store.compare_set, _REASON, "", json.dumps(reason))
        return str(json.loads(published))

    def _call_store(self, method: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a method of the store returns.

        The call runs in a thread, because it would wait forever for a master that hangs.

        Raises: RuntimeError if the master does not answer.
        """
        if 0 in self._lost:
            raise RuntimeError("the store was lost with the master")
        results: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def call() -> None:
            try:
                results.put(method(*arguments))
            except RuntimeError as error:
                results.put(error)

        threading.Thread(target=call, daemon=True).start()
        try:
            result = results.get(timeout=_STORE_LIMIT)
        except queue.Empty:
            raise RuntimeError("the master does not answer") from None
        if isinstance(result, RuntimeError):
            raise result
        return result


def _summary(error: Exception) -> str:
    """Return the first sentence of an error of torch, without the place in torch's source."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].split("] ", 1)[-1].split(". ")[0][:200]
