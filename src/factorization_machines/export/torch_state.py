"""A torch state_dict of `module.FactorizationMachine`: three tensors and nothing else."""

from pathlib import Path

from factorization_machines.artifact import Model
from factorization_machines.errors import ArtifactError
from factorization_machines.export import metadata
from factorization_machines.export.metadata import Content


def write(path: Path, model: Model) -> None:
    """Write the state_dict; `torch.load(path, weights_only=True)` reads it.

    It cannot hold the predictor type and the training parameters.
    """
    import torch

    torch.save({name: torch.from_numpy(a) for name, a in metadata.arrays(model).items()}, path)


def read(path: Path) -> Content:
    """Return the content of a file; torch raises an error if loading it would execute code."""
    import torch

    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or not all(isinstance(t, torch.Tensor) for t in state.values()):
        raise ArtifactError(f"no state_dict: {type(state).__name__}")
    return Content({str(name): tensor.detach().numpy() for name, tensor in state.items()})
