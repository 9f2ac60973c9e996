"""How much of the memory limit the model needs, and how much remains for data."""

from factorization_machines.config import TrainingConfig
from factorization_machines.engines.memory import fitting, parameter_bytes
from factorization_machines.errors import PlatformError
from sagemaker_container.contract import memory_limit
from sagemaker_container.contract.hyperparameters import Hyperparameters

# Memory that the job allocates later, besides parameters and data: torch's own (130 MB), kernels,
# stream buffers, prefetched batches, the last pages of the artifact.
_RESERVED = 290_000_000
_TORCH_ENGINE = 220_000_000  # more, if torch trains


def for_data(
    config: TrainingConfig, hyperparameters: Hyperparameters, *, checkpoints: bool = False
) -> int:
    """Return the bytes that decoded channels may take.

    That is `_memory_budget_mb` if it is set. Otherwise it is half of what the memory limit leaves
    beside the model, and beside the copy of it that `checkpoints` are written from.

    Raises: PlatformError if the model, or the budget beside it, exceeds the limit; the message says
        what would fit.
    """
    budget = hyperparameters.integer("_memory_budget_mb") * 1_000_000
    limit = memory_limit.limit()
    if limit is None:
        return budget or 1 << 62
    threads = hyperparameters.integer("_num_threads")
    torch = hyperparameters.text("_engine") == "torch" or hyperparameters.text("_device") != "cpu"
    available = limit - memory_limit.used() - _RESERVED - torch * _TORCH_ENGINE
    if available <= 0:
        raise PlatformError(
            f"not enough memory: the limit is {_size(limit)}, and training takes "
            f"{_size(limit - available)} besides model and data"
        )
    copies = 1 if torch else threads
    model = parameter_bytes(config, copies, copied=checkpoints)
    if model > available:
        # Suggest a little less than what fits: the memory in use varies by some MB between runs.
        k, d = fitting(config, copies, available - available // 20, copied=checkpoints)
        suggestions = [f"num_factors up to {k}"] if k else []
        suggestions += [f"feature_dim up to {d}"] if d else []
        what = "training with checkpoints" if checkpoints else "training"
        raise PlatformError(
            f"not enough memory for feature_dim {config.feature_dim} x num_factors "
            f"{config.num_factors}: {what} takes {_size(model)} of the {_size(available)} that the "
            f"limit of {_size(limit)} leaves; {' or '.join(suggestions) or 'nothing'} would fit"
        )
    if budget > available - model:
        raise PlatformError(
            f"not enough memory for _memory_budget_mb {budget // 1_000_000}: the limit of "
            f"{_size(limit)} leaves {_size(available)}, of which the model takes {_size(model)}; "
            f"up to {(available - model) // 1_000_000} would fit"
        )
    return budget or (available - model) // 2


def _size(size: int) -> str:
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.{0 if size >= 1e7 else 1}f} MB"
