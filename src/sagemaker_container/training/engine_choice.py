"""Which engine trains: chosen by the job, told in its log, and kept in its artifact."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from factorization_machines.config import Settings
from factorization_machines.engines.shares import Shares
from factorization_machines.errors import PlatformError
from factorization_machines.parameters import Parameters
from factorization_machines.recordio.decoder import Rows
from factorization_machines.trainer import Engine

if TYPE_CHECKING:
    from sagemaker_container.training.host_group import HostGroup


@dataclass(frozen=True)
class Choice:
    """An engine, and what to call it."""

    engine: Engine
    name: str

    @property
    def kind(self) -> str:
        """Return the name without how it runs: what its rounding depends on."""
        return self.name.split()[0]


def choose(
    name: str,
    device: str,
    threads: int,
    parameters: Parameters,
    settings: Settings,
    rows: Rows | None,
    shares: Shares | None = None,
    team: "HostGroup | None" = None,
) -> Choice:
    """Return the engine for a job; `auto` is numba, or torch for a device that is no CPU.

    It has `rows`, or none yet. Of several hosts it is numba, with one thread on each.

    Raises: PlatformError if the device is not there.
    """
    if rows is None:
        none = csr_array((0, settings.feature_dim), dtype=np.float32)
        rows = Rows(none, np.empty(0, np.float32))
    if team and shares and team.size > 1:
        from factorization_machines.engines.distributed import HostsEngine

        shared = HostsEngine(parameters, settings, rows.x, rows.y, shares, team)
        return Choice(shared, f"numba ({team.size} hosts)")
    if name == "torch" or device != "cpu":
        return _torch(device, parameters, settings, rows)
    from factorization_machines.engines.fused import NumbaEngine

    engine = NumbaEngine(parameters, settings, rows.x, rows.y, threads)
    return Choice(engine, f"numba ({threads} thread{'s' if threads > 1 else ''})")


def _torch(device: str, parameters: Parameters, settings: Settings, rows: Rows) -> Choice:
    # Here and not above: torch takes a second to load, and bad input should be told at once.
    import torch

    from factorization_machines.engines.autograd import TorchEngine

    if device == "cuda" and not torch.cuda.is_available():
        raise PlatformError("_device 'cuda': torch finds no CUDA device here; use 'cpu'")
    # The operations of a mini-batch are too small to share: a second thread makes them slower,
    # and one thread sums in one order.
    torch.set_num_threads(1)
    return Choice(TorchEngine(parameters, settings, rows.x, rows.y, device), f"torch ({device})")
