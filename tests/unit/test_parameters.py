"""Initial parameters: distributions, seeds, and terms that are switched off."""

from dataclasses import replace

import numpy as np
import pytest

from factorization_machines.config import Term, TrainingConfig
from factorization_machines.errors import PlatformError
from factorization_machines.initialization import initial_parameters
from factorization_machines.parameters import Parameters

TERM = Term(lr=0.1, wd=0.0, init_sigma=0.5)
CONFIG = TrainingConfig(
    4000, 8, True, bias=TERM, linear=TERM, factors=replace(TERM, init_sigma=0.02)
)


def test_shapes_and_type() -> None:
    parameters = initial_parameters(CONFIG)
    assert [a.shape for a in (parameters.w0, parameters.w, parameters.v)] == [
        (1,), (4000,), (4000, 8),
    ]  # fmt: skip
    assert all(a.dtype == np.float32 for a in (parameters.w0, parameters.w, parameters.v))
    assert (parameters.feature_dim, parameters.num_factors) == (4000, 8)
    assert parameters.finite()


def test_normal_values_have_the_sigma_of_their_term() -> None:
    parameters = initial_parameters(CONFIG)
    assert abs(parameters.w.mean()) < 0.05
    assert parameters.w.std() == pytest.approx(0.5, rel=0.05)
    assert parameters.v.std() == pytest.approx(0.02, rel=0.05)
    # A normal distribution has 4.55 percent beyond two sigma.
    assert np.mean(np.abs(parameters.v) > 0.04) == pytest.approx(0.0455, abs=0.01)
    assert abs(np.corrcoef(parameters.v.T)[0, 1]) < 0.1


def test_uniform_values_are_within_their_scale() -> None:
    term = replace(TERM, init_method="uniform", init_scale=0.25)
    parameters = initial_parameters(replace(CONFIG, linear=term))
    assert np.abs(parameters.w).max() <= 0.25
    assert abs(parameters.w.mean()) < 0.02
    assert parameters.w.std() == pytest.approx(0.25 / np.sqrt(3), rel=0.05)
    assert parameters.w.min() < -0.24 and parameters.w.max() > 0.24


def test_constant_values() -> None:
    term = replace(TERM, init_method="constant", init_value=-0.75)
    parameters = initial_parameters(replace(CONFIG, bias=term, factors=term))
    assert parameters.w0.tolist() == [-0.75]
    assert (parameters.v == -0.75).all()


def test_zero_sigma_scale_and_value_are_zero() -> None:
    for change in (
        {"init_sigma": 0.0},
        {"init_method": "uniform", "init_scale": 0.0},
        {"init_method": "constant", "init_value": 0.0},
    ):
        assert not initial_parameters(replace(CONFIG, linear=replace(TERM, **change))).w.any()


def test_a_term_that_is_switched_off_is_zero() -> None:
    parameters = initial_parameters(replace(CONFIG, use_bias=False, use_linear=False))
    assert not parameters.w0.any() and not parameters.w.any()
    assert parameters.v.any()


def test_the_seed_decides() -> None:
    def raw(seed: int) -> bytes:
        parameters = initial_parameters(replace(CONFIG, seed=seed))
        return b"".join(a.tobytes() for a in (parameters.w0, parameters.w, parameters.v))

    assert raw(0) == raw(0)
    assert raw(0) != raw(1)
    assert raw(2**32 - 1) == raw(2**32 - 1)


def test_the_terms_have_different_numbers() -> None:
    parameters = initial_parameters(replace(CONFIG, feature_dim=8, num_factors=1))
    assert parameters.w[0] != parameters.w0[0]
    assert not np.array_equal(parameters.w / 0.5, parameters.v[:, 0] / 0.02)


@pytest.mark.parametrize("factors", [2**33, 2**60, 10**30])
def test_more_than_memory_holds_is_an_error(factors: int) -> None:
    with pytest.raises(PlatformError, match=f"feature_dim 2147483647 x num_factors {factors}: "):
        initial_parameters(
            replace(CONFIG, feature_dim=2**31 - 1, num_factors=factors, use_linear=False)
        )


def test_finite() -> None:
    def parameters(w0: float, w: float, v: float) -> Parameters:
        one = np.ones(1, np.float32)
        return Parameters(one * w0, one * w, (one * v)[:, None])

    assert parameters(1, 1, 1).finite()
    for bad in (np.nan, np.inf, -np.inf):
        assert not parameters(bad, 1, 1).finite()
        assert not parameters(1, bad, 1).finite()
        assert not parameters(1, 1, bad).finite()
