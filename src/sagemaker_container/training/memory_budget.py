"""What of the memory limit the model takes, and what that leaves for data."""

from factorization_machines.config import Settings
from factorization_machines.errors import PlatformError
from factorization_machines.memory import fitting, parameter_bytes
from sagemaker_container.contract import memory_limit
from sagemaker_container.contract.hyperparameters import Hyperparameters

# What the job takes beside parameters and data, and has not taken yet: kernels, buffers of the
# streams, the blocks ahead of training, the artifact's last pages; and torch, where that trains.
_REST = 160_000_000
_TORCH = 350_000_000


def for_data(settings: Settings, params: Hyperparameters, *, checkpoints: bool = False) -> int:
    """Return the bytes that decoded channels may take: `_memory_budget_mb`, or by the limit.

    By the limit it is half of what it leaves beside the model, and beside the copy of it that
    `checkpoints` are written from.

    Raises: PlatformError if the model does not fit the limit, or the budget beside it, with what
        would; before any of it is allocated.
    """
    given = params.integer("_memory_budget_mb") * 1_000_000
    limit = memory_limit.limit()
    if limit is None:
        return given or 1 << 62
    threads = params.integer("_num_threads")
    torch = params.text("_engine") == "torch" or params.text("_device") != "cpu"
    room = limit - memory_limit.used() - _REST - torch * _TORCH
    held = 1 if torch else threads
    model = parameter_bytes(settings, held, copied=checkpoints)
    if model > room:
        # A little less than what there is: another run finds some MB more in use.
        k, d = fitting(settings, held, room - room // 20, copied=checkpoints)
        would = [f"num_factors up to {k}"] if k else []
        would += [f"feature_dim up to {d}"] if d else []
        what = "training with checkpoints" if checkpoints else "training"
        raise PlatformError(
            f"not enough memory for feature_dim {settings.feature_dim} x num_factors "
            f"{settings.num_factors}: {what} takes {_size(model)} of the {_size(room)} that the "
            f"limit of {_size(limit)} leaves; {' or '.join(would) or 'nothing'} would fit"
        )
    if given > room - model:
        raise PlatformError(
            f"not enough memory for _memory_budget_mb {given // 1_000_000}: the limit of "
            f"{_size(limit)} leaves {_size(room)}, of which the model takes {_size(model)}; "
            f"up to {(room - model) // 1_000_000} would fit"
        )
    return given or (room - model) // 2


def _size(size: int) -> str:
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    return f"{max(size, 0) / 1e6:.0f} MB"
