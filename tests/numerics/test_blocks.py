"""Rows in chunks give the same batches, metrics and bytes as all rows at once."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from factorization_machines.batching import BatchedChunk, batch_bounds, batched
from factorization_machines.config import TrainingConfig
from factorization_machines.errors import DivergedError, PlatformError
from factorization_machines.initialization import initial_parameters
from factorization_machines.metrics import Metrics
from factorization_machines.optimizers import OPTIMIZERS
from factorization_machines.trainer import Callback, Epoch, Trainer
from support import fm
from support.engines import ENGINES

D, K = 12, 5
NONE = np.empty((0, 2), np.int64)


class Watch(Callback):
    """Records the calls."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def on_batch_end(self, epoch: int, batch: int, metrics: Metrics) -> None:
        self.events.append((epoch, batch, metrics.rows, metrics.sums.tolist()))

    def on_epoch_end(self, epoch: Epoch) -> None:
        self.events.append((epoch.number, epoch.batches, epoch.records, dict(epoch.scores)))


def numbered(n: int) -> tuple[csr_array, Any]:
    """Return rows of which row i has the value i + 1, and the label i."""
    values = np.arange(1, n + 1, dtype=np.float32)
    return csr_array(values[:, None]), values - 1


def cut(x: csr_array, y: Any, sizes: list[int]) -> Iterator[BatchedChunk]:
    """Yield rows in chunks of these sizes, and the remaining rows."""
    ends = [0, *np.minimum(np.cumsum([0, *sizes])[1:], y.size).tolist(), y.size]
    for first, last in zip(ends, ends[1:], strict=False):
        yield BatchedChunk(x[first:last], y[first:last], NONE)


@given(st.integers(1, 60), st.integers(1, 70), st.lists(st.integers(0, 25), max_size=12))
def test_the_batches_are_those_over_all_rows(n: int, size: int, sizes: list[int]) -> None:
    x, y = numbered(n)
    got = []
    for block in batched(cut(x, y, sizes), size):
        assert block.x.toarray()[:, 0].tolist() == (block.y + 1).tolist()
        assert block.bounds.size
        got += [block.y[first:last].tolist() for first, last in block.bounds]
    assert got == [y[first:last].tolist() for first, last in batch_bounds(n, size)]


def test_no_rows_are_no_batches() -> None:
    assert list(batched(iter([]), 5)) == []
    assert list(batched(cut(*numbered(0), []), 5)) == []


def test_a_batched_chunk_has_less_than_a_chunk_and_a_batch() -> None:
    held = [block.y.size for block in batched(cut(*numbered(1000), [10] * 100), 7)]
    assert max(held) < 10 + 7


def test_the_error_of_a_batch_that_does_not_fit_says_what_would() -> None:
    pieces = cut(*numbered(1000), [100] * 10)
    with pytest.raises(PlatformError) as caught:
        list(batched(pieces, 1000, max_bytes=4000))
    assert str(caught.value).startswith("not enough memory for mini_batch_size 1000: 300 rows take")
    assert str(caught.value).endswith(" rows would fit")


def run(kind: str, config: TrainingConfig, sizes: list[int] | None) -> list[Any]:
    x, y = fm.rows(1, 43, D)
    parameters, watch = initial_parameters(config), Watch()
    if sizes is None:
        trained = ENGINES[kind](parameters, config, x, y)
        Trainer(trained.engine, config, [watch]).fit(y.size)
    else:
        trained = ENGINES[kind](parameters, config, x[:0], y[:0])
        size = config.mini_batch_size
        trainer = Trainer(trained.engine, config, [watch])
        trainer.fit(lambda: batched(cut(x, y, sizes), size))
    arrays = (parameters.w0, parameters.w, parameters.v)
    return [*watch.events, *(array.tobytes() for array in arrays)]


@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.parametrize("size", [1, 8, 43, 100])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_chunks_give_the_same_bytes(kind: str, size: int, optimizer: str) -> None:
    """Compares the parameters, and the metrics that callbacks get."""
    config = fm.config(
        D, K, epochs=3, mini_batch_size=size, optimizer=optimizer, publish_interval=2
    )
    whole = run(kind, config, None)
    for sizes in ([], [1] * 43, [5, 30], [20, 0, 3, 17], [16, 16]):
        assert run(kind, config, sizes) == whole


@pytest.mark.parametrize("num_factors", [5, 64])
def test_scratch_memory_grows_with_the_batches(num_factors: int) -> None:
    few, many = (fm.rows(seed, 30, 300, share)[0] for seed, share in ((3, 0.05), (4, 0.5)))
    x, y = csr_array(np.vstack([few.toarray(), many.toarray()])), fm.rows(5, 60, 1)[1]
    config = fm.config(300, num_factors, mini_batch_size=10)
    results = []
    for kind in ("numba", "numba, two threads"):
        parameters = initial_parameters(config)
        engine = ENGINES[kind](parameters, config, x[:0], y[:0]).engine
        Trainer(engine, config).fit(lambda: batched(cut(x, y, [10] * 6), 10))
        results.append(parameters.v.tobytes())
    parameters = initial_parameters(config)
    engine = ENGINES["numba"](parameters, config, x, y).engine
    Trainer(engine, config).fit(60)
    assert results == [parameters.v.tobytes()] * 2


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", ENGINES)
def test_the_error_of_a_loss_that_is_not_finite_names_batch_and_epoch(kind: str) -> None:
    config = fm.config(D, K, classifier=False)
    x, y = fm.rows(1, 43, D)
    x = csr_array(x.toarray())
    x.data[x.indptr[25] : x.indptr[26]] = np.float32(3e38)
    trained = ENGINES[kind](initial_parameters(config), config, x[:0], y[:0])
    with pytest.raises(DivergedError, match="not finite in batch 3 of epoch 0"):
        Trainer(trained.engine, config).fit(lambda: batched(cut(x, y, [9] * 4), 8))
