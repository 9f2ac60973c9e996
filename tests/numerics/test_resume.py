"""An interrupted and resumed run gives the same bits as an uninterrupted one."""

from typing import Any

import numpy as np
import pytest

from factorization_machines.batching import BatchedChunk, batched
from factorization_machines.config import TrainingConfig
from factorization_machines.engines.base import Engine, OptimizerState
from factorization_machines.errors import CheckpointError
from factorization_machines.initialization import initial_parameters
from factorization_machines.metrics import Metrics, metrics_for
from factorization_machines.optimizers import OPTIMIZERS
from factorization_machines.parameters import Parameters
from factorization_machines.trainer import Callback, Epoch, Trainer, TrainingState
from support.engines import ENGINES
from support.fm import config as make_config
from support.fm import rows

D, N = 40, 130


class Watch(Callback):
    """Records all calls, without the times."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def on_batch_end(self, epoch: int, batch: int, metrics: Metrics) -> None:
        self.events.append((epoch, batch, metrics.scores()))

    def on_epoch_end(self, epoch: Epoch) -> None:
        self.events.append((epoch.number, epoch.records, epoch.scores, epoch.test_scores))


class Keep(Callback):
    """Keeps a copy of everything at each call."""

    def __init__(self, parameters: Parameters, engine: Any) -> None:
        self._parameters, self._engine = parameters, engine
        self.kept: list[tuple[TrainingState, Parameters, OptimizerState]] = []

    def on_progress(self, state: TrainingState, stopped: bool) -> None:
        self.kept.append((state, self._parameters.copy(), self._engine.state_dict()))


def bits(parameters: Parameters, optimizer_state: OptimizerState) -> list[bytes]:
    arrays = [parameters.w0, parameters.w, parameters.v, *optimizer_state.arrays.values()]
    return [array.tobytes() for array in arrays]


def load(
    start: tuple[TrainingState, Parameters, OptimizerState] | None,
    parameters: Parameters,
    engine: Engine,
) -> TrainingState:
    """Load what `Keep` kept and return its state; None is the start."""
    if start is None:
        return TrainingState()
    begin, saved, optimizer_state = start
    parameters.copy_from(saved)
    engine.load_state_dict(optimizer_state)
    return begin


@pytest.mark.parametrize("patience", [0, 2])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.parametrize("k", [3, 40])
def test_resuming_anywhere_gives_the_same_bits(
    kind: str, optimizer: str, patience: int, k: int
) -> None:
    config = make_config(
        D, k, optimizer=optimizer, patience=patience, epochs=5, mini_batch_size=16,
        publish_interval=3, use_linear=k == 3,
    )  # fmt: skip
    x, y = rows(1, N, D)

    def run(start: Any = None) -> tuple[list[bytes], list[Any], Keep, object]:
        parameters = initial_parameters(config)
        trained = ENGINES[kind](parameters, config, x, y)
        begin = load(start, parameters, trained.engine)
        watch, keep = Watch(), Keep(parameters, trained.engine)

        def test() -> Metrics:
            metrics = metrics_for(True)
            metrics.add(trained.engine.score(x[:50]), 1 - y[:50])
            return metrics

        outcome = Trainer(trained.engine, config, [watch, keep], test).fit(N, begin)
        return bits(parameters, trained.engine.state_dict()), watch.events, keep, outcome

    whole, events, keep, outcome = run()
    assert len(keep.kept) >= 3 * 4  # parts of epochs, and epochs
    for start in keep.kept:
        again, rest, _, end = run(start)
        assert again == whole
        assert end == outcome
        assert rest == events[len(events) - len(rest) :]


@pytest.mark.parametrize("kind", ENGINES)
def test_resuming_a_stream_anywhere_gives_the_same_bits(kind: str) -> None:
    config = make_config(D, 3, epochs=2, mini_batch_size=16, publish_interval=3)
    x, y = rows(1, N, D)

    def chunks() -> list[BatchedChunk]:
        ends = [0, 10, 50, 55, 112, N]
        none = np.empty((0, 2), np.int64)
        return [BatchedChunk(x[a:b], y[a:b], none) for a, b in zip(ends, ends[1:], strict=False)]

    def run(start: Any, stream: bool) -> tuple[list[bytes], list[Any], Keep]:
        parameters = initial_parameters(config)
        trained = ENGINES[kind](parameters, config, *((x[:0], y[:0]) if stream else (x, y)))
        begin = load(start, parameters, trained.engine)
        watch, keep = Watch(), Keep(parameters, trained.engine)
        trainer = Trainer(trained.engine, config, [watch, keep])
        trainer.fit((lambda: batched(chunks(), 16)) if stream else N, begin)
        return bits(parameters, trained.engine.state_dict()), watch.events, keep

    whole, events, _ = run(None, stream=False)
    again, rest, keep = run(None, stream=True)
    assert (again, rest) == (whole, events)
    assert len(keep.kept) > 2 * 4
    for start in keep.kept:
        for stream in (False, True):
            again, rest, _ = run(start, stream)
            assert again == whole
            assert rest == events[len(events) - len(rest) :]


def test_fewer_batches_than_were_done_are_an_error() -> None:
    config = make_config(D, 3, epochs=1, mini_batch_size=16)
    x, y = rows(1, N, D)
    parameters = initial_parameters(config)
    engine = ENGINES["numba"](parameters, config, x, y).engine
    message = r"10 mini-batches of epoch 0 were done, and the channel 'train' has 9"
    with pytest.raises(CheckpointError, match=message):
        Trainer(engine, config).fit(N, TrainingState(batch=10))


def test_optimizer_state_does_not_depend_on_the_engine() -> None:
    config: TrainingConfig = make_config(D, 40, epochs=1, mini_batch_size=16)
    x, y = rows(1, N, D)
    kept = {}
    for kind, make in ENGINES.items():
        parameters = initial_parameters(config)
        engine = make(parameters, config, x, y).engine
        Trainer(engine, config).fit(N)
        kept[kind] = engine.state_dict()
    numba = kept["numba"]
    assert numba.steps == 9
    assert {name: array.shape for name, array in numba.arrays.items()} == {
        "bias.m": (1,), "bias.s": (1,), "linear.m": (D,), "linear.s": (D,),
        "factors.m": (D, 40), "factors.s": (D, 40),
    }  # fmt: skip
    for name, array in numba.arrays.items():
        assert kept["numba, two threads"].arrays[name].tobytes() == array.tobytes()
        np.testing.assert_allclose(kept["torch"].arrays[name], array, rtol=1e-3, atol=1e-6)
