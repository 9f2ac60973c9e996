"""The interface of engines."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from scipy.sparse import csr_array

from factorization_machines.batching import Bounds
from factorization_machines.metrics import Metrics
from factorization_machines.parameters import Float32, Parameters

TERMS = ("bias", "linear", "factors")


@dataclass(frozen=True)
class OptimizerState:
    """The state of the optimizer, in a layout that does not depend on the engine.

    `steps` is the number of steps so far. `arrays` has an array for each term and state name, such
    as `factors.m`, of the parameter's shape: (1,), (d,) or (d, k), float32.
    """

    steps: int
    arrays: Mapping[str, Float32]


class Model(Protocol):
    """What is trained: the PyTorch module, or parameters alone where torch is not needed."""

    def arrays(self) -> Parameters:
        """Return the parameters as NumPy arrays."""

    def copy_from(self, parameters: Parameters) -> None:
        """Copy values of the same shapes into the parameters, in place."""


class Engine(Protocol):
    """Trains a model in place on the rows that it was given last."""

    @property
    def model(self) -> Model:
        """Return the model that is trained."""

    def set_rows(self, x: csr_array, y: Float32, weights: Float32 | None = None) -> None:
        """Replace the rows; parameters and optimizer state stay as they are.

        `x` is (n, feature_dim) float32 in canonical CSR form, `y` is (n,) float32. `weights` (n,)
        float32 multiply the loss gradients of the rows, but not the metrics of training.
        """

    def run(self, batches: Bounds, metrics: Metrics) -> int:
        """Train on mini-batches and return how many were done.

        Adds the scores of each batch before its update to `metrics`. Returns early after a batch
        whose loss is not finite.
        """

    def score(self, x: csr_array) -> Float32:
        """Return the scores of rows, (n,) float32."""

    def state_dict(self) -> OptimizerState:
        """Return a copy of the optimizer's state."""

    def load_state_dict(self, state: OptimizerState) -> None:
        """Continue with this optimizer state and the current parameters of the model."""
