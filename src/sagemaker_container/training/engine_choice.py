"""The choice of the engine that trains a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from factorization_machines.config import TrainingConfig
from factorization_machines.engines.base import Engine
from factorization_machines.engines.shares import Shares
from factorization_machines.errors import PlatformError
from factorization_machines.recordio.decoder import Rows
from sagemaker_container.contract.hyperparameters import Hyperparameters

if TYPE_CHECKING:
    from factorization_machines.module import FactorizationMachine
    from sagemaker_container.training.host_group import HostGroup


@dataclass(frozen=True)
class Choice:
    """An engine, and its name for the log and the artifact."""

    engine: Engine
    name: str

    @property
    def kind(self) -> str:
        """Return the first word of the name: the engines of a kind round alike."""
        return self.name.split()[0]


def choose(
    model: FactorizationMachine,
    config: TrainingConfig,
    hyperparameters: Hyperparameters,
    group: HostGroup,
    rows: Rows | None,
    shares: Shares | None,
) -> Choice:
    """Return the engine for a job, with the rows if they are in memory.

    `_engine` auto means numba on a CPU and torch on another device. Several hosts train with numba
    and one thread each.

    Raises: PlatformError if the device does not exist.
    """
    device, threads = hyperparameters.text("_device"), hyperparameters.integer("_num_threads")
    choice: Choice
    if group.size > 1 and rows is not None and shares is not None:
        from factorization_machines.engines.distributed import HostsEngine

        engine = HostsEngine(model, config, rows, shares, group)
        return Choice(engine, f"numba ({group.size} hosts)")
    if hyperparameters.text("_engine") == "torch" or device != "cpu":
        choice = Choice(_torch_engine(device, model, config), f"torch ({device})")
    else:
        from factorization_machines.engines.fused import NumbaEngine

        name = f"numba ({threads} thread{'s' if threads > 1 else ''})"
        choice = Choice(NumbaEngine(model, config, threads), name)
    if rows is not None:
        choice.engine.set_rows(rows.x, rows.y)
    return choice


def _torch_engine(device: str, model: FactorizationMachine, config: TrainingConfig) -> Engine:
    import torch

    from factorization_machines.engines.autograd import TorchEngine

    if device == "cuda" and not torch.cuda.is_available():
        raise PlatformError("_device 'cuda': torch finds no CUDA device here; use 'cpu'")
    # Operations on a mini-batch are too small for several threads, and a single thread sums in a
    # fixed order.
    torch.set_num_threads(1)
    return TorchEngine(model.to(device), config)
