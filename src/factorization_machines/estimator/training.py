"""A call of `fit` or `partial_fit`: rows, their order, the units of the labels, and the trainer."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from tqdm import tqdm

from factorization_machines.config import TrainingConfig
from factorization_machines.engines.base import OptimizerState
from factorization_machines.engines.fused import NumbaEngine
from factorization_machines.initialization import initial_parameters
from factorization_machines.metrics import Metrics, metrics_for
from factorization_machines.parameters import Float32, Parameters
from factorization_machines.trainer import Callback, Epoch, Trainer, TrainingState

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """Rows: `x` (n, d) float32 in canonical CSR form, `y` (n,) labels, `weights` (n,) or None."""

    x: csr_array
    y: Float64
    weights: Float64 | None

    def __len__(self) -> int:
        return int(self.y.size)

    def take(self, places: NDArray[Any]) -> "Rows":
        """Return the rows at some places, or where a mask is true."""
        weights = None if self.weights is None else self.weights[places]
        return Rows(self.x[places], self.y[places], weights)

    def of_mean_weight_1(self) -> "Rows":
        """Return the rows with weights of mean 1."""
        if self.weights is None:
            return self
        return replace(self, weights=self.weights / self.weights.mean())


@dataclass(frozen=True)
class Units:
    """Labels are `mean + scale * z` for the scores z that training sees."""

    mean: float = 0.0
    scale: float = 1.0

    @classmethod
    def of(cls, rows: Rows, *, centered: bool) -> "Units":
        """Return units in which the labels have deviation 1, and mean 0 if `centered`."""
        mean = float(np.average(rows.y, weights=rows.weights))
        deviation = math.sqrt(np.average((rows.y - mean) ** 2, weights=rows.weights))
        return cls(mean if centered else 0.0, deviation or 1.0)

    def labels(self, rows: Rows) -> Float32:
        """Return the labels of rows in these units."""
        return ((rows.y - self.mean) / self.scale).astype(np.float32)

    def to_labels(self, parameters: Parameters) -> Parameters:
        """Return the parameters of the same model in units of the labels.

        The scale divides between both factors of a pair, so its root multiplies each.
        """
        return _scaled(parameters, self.scale, self.mean)

    def from_labels(self, parameters: Parameters) -> Parameters:
        """Return a copy of parameters in units of the labels, in these units."""
        return _scaled(parameters, 1 / self.scale, -self.mean / self.scale)


def _scaled(parameters: Parameters, scale: float, offset: float) -> Parameters:
    result = parameters.copy()
    result.w0[:] = result.w0.astype(np.float64) * scale + offset
    result.w[:] *= np.float32(scale)
    result.v[:] *= np.float32(math.sqrt(scale))
    return result


@dataclass(frozen=True)
class Progress:
    """What a later call continues with, besides the parameters."""

    seed: int
    epochs: int = 0
    units: Units | None = None
    optimizer: OptimizerState | None = None


@dataclass(frozen=True)
class RunOptions:
    """How a run is executed; nothing here changes its result."""

    threads: int
    verbose: bool
    """Whether to show a progress bar."""


@dataclass(frozen=True)
class Trained:
    """The result of a call; `losses` are those of the validation rows, in units of the labels."""

    parameters: Parameters
    progress: Progress
    epochs: int
    losses: Sequence[float]


class _Watcher(Callback):
    """Collects validation losses, and shows a progress bar."""

    def __init__(self, epochs: int, loss: str, scale: float, verbose: bool):
        self.epochs = 0
        self.losses: list[float] = []
        self._loss, self._scale = loss, scale
        self._bar = tqdm(total=epochs, unit="epoch", disable=not verbose)

    def on_epoch_end(self, epoch: Epoch) -> None:
        """Record the losses of an epoch."""
        self.epochs += 1
        shown = {"loss": epoch.scores[self._loss] * self._scale}
        if epoch.test_scores is not None:
            self.losses.append(epoch.test_scores[self._loss] * self._scale)
            shown["validation"] = self.losses[-1]
        if not self._bar.disable:
            self._bar.set_postfix(shown, refresh=False)
            self._bar.update()

    def close(self) -> None:
        self._bar.close()


def train(
    rows: Rows,
    validation: Rows | None,
    config: TrainingConfig,
    start: Parameters | None,
    progress: Progress,
    options: RunOptions,
) -> Trained:
    """Train for the epochs of a configuration, after those of `progress`.

    Args:
        rows: the rows, which are shuffled first if the configuration says so.
        validation: rows for early stopping; None without it.
        config: of the run.
        start: parameters in units of the labels; None for initial ones.
        progress: where an earlier call ended; its units count, if it has some.
        options: threads of the engine, and the progress bar.

    Raises: DivergedError if a loss or a parameter is not finite.
    """
    units = progress.units or Units()
    if config.shuffle:
        random = np.random.default_rng([progress.seed, progress.epochs])
        rows = rows.take(random.permutation(len(rows)))
    parameters = initial_parameters(config) if start is None else units.from_labels(start)
    engine = NumbaEngine(parameters, config, options.threads)
    if progress.optimizer is not None:
        engine.load_state_dict(progress.optimizer)
    engine.set_rows(rows.x, units.labels(rows), _float32(rows.weights))
    metrics = metrics_for(config.classifier)
    watcher = _Watcher(config.epochs, metrics.loss, units.scale, options.verbose)
    evaluate = None
    if validation is not None:
        labels = units.labels(validation)
        weights = _float32(validation.of_mean_weight_1().weights)

        def evaluate() -> Metrics:
            metrics = metrics_for(config.classifier)
            metrics.add(engine.score(validation.x), labels, weights)
            return metrics

    config = replace(config, epochs=progress.epochs + config.epochs)
    try:
        trainer = Trainer(engine, config, [watcher], evaluate)
        trainer.fit(len(rows), TrainingState(epoch=progress.epochs))
    finally:
        watcher.close()
    done = Progress(progress.seed, progress.epochs + watcher.epochs, units, engine.state_dict())
    return Trained(units.to_labels(parameters), done, watcher.epochs, watcher.losses)


def _float32(weights: Float64 | None) -> Float32 | None:
    return None if weights is None else weights.astype(np.float32)
