"""Initial values: MXNet's generator, compared with numbers of the C++ library."""

import numpy as np
import pytest

from factorization_machines.config import DRAW_ORDERS, Term, TrainingConfig
from factorization_machines.initialization import ENGINES, Draw, draw, initial_parameters

V_FIRST, W_FIRST = DRAW_ORDERS
ULP = 1.2e-7  # of the logarithm, which is the C library's


def config(d: int, k: int, seed: int = 0, **changes: object) -> TrainingConfig:
    terms = {
        "bias": Term(0.1, 0.0),
        "linear": Term(0.1, 0.0),
        "factors": Term(0.1, 0.0, init_sigma=0.001),
    }
    return TrainingConfig(d, k, True, seed=seed, **{**terms, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("d", "k", "seed", "order", "w0", "w", "last_w", "v", "last_v"),
    [
        (
            *(200, 32, 0, V_FIRST, 0.006087822839617729),
            (0.010741755366325378, 0.0006642842199653387, 0.00848698616027832),
            0.004001766908913851,
            (0.002212206367403269, 0.0007740038563497365, 0.001043440424837172),
            -0.0005475518992170691,
        ),
        (
            *(7, 3, 0, V_FIRST, 0.001201746053993702),
            (-0.009711101651191711, -0.007756966166198254, -0.007882175967097282),
            -0.010424827225506306,
            (0.002212206367403269, 0.0007740038563497365, 0.001043440424837172),
            0.00107316963840276,
        ),
        (
            *(7, 3, 5, V_FIRST, 0.0019288889598101377),
            (-0.004368711728602648, 0.010931549593806267, -0.006345546804368496),
            0.007311197463423014,
            (-0.00041222223080694675, 0.0007370637031272054, 0.0007123302202671766),
            0.00032203353475779295,
        ),
        (
            *(2623, 64, 0, W_FIRST, 0.006087822839617729),
            (0.022122062742710114, 0.007740037981420755, 0.010434403084218502),
            -0.0010506192920729518,
            (0.0010741756996139884, 6.64284234517254e-05, 0.0008486986625939608),
            -9.621091157896444e-05,
        ),
    ],
)
def test_the_numbers_of_the_library(
    d: int,
    k: int,
    seed: int,
    order: tuple[str, ...],
    w0: float,
    w: tuple[float, ...],
    last_w: float,
    v: tuple[float, ...],
    last_v: float,
) -> None:
    got = initial_parameters(config(d, k, seed, draw_order=order))
    numbers = [*got.w0, *got.w[:3], got.w[-1], *got.v[0, :3], got.v[-1, -1]]
    np.testing.assert_allclose(numbers, [w0, *w, last_w, *v, last_v], rtol=ULP)


def test_a_term_without_random_numbers_draws_none() -> None:
    """Such a term does not change the numbers of the terms after it."""
    whole = initial_parameters(config(50, 8))
    constant = initial_parameters(config(50, 8, bias=Term(0.1, 0.0, "constant", init_value=0.25)))
    switched_off = initial_parameters(config(50, 8, use_bias=False))
    assert constant.w0 == 0.25 and switched_off.w0 == 0
    assert constant.w.tobytes() == switched_off.w.tobytes() != whole.w.tobytes()
    assert constant.v.tobytes() == switched_off.v.tobytes() == whole.v.tobytes()


def test_uniform_numbers_take_one_output_each() -> None:
    # Three outputs of engine 0: the first ones of std::mt19937 with seed 0.
    outputs = np.random.RandomState(0).randint(0, 2**32, 3, np.uint64)
    out = np.empty(3, np.float32)
    draw(0, [Draw(out, normal=False, scale=0.5)])
    units = outputs.astype(np.float32) * np.float32(2**-32)
    np.testing.assert_array_equal(out, np.float32(1) * units - np.float32(0.5))


def test_a_normal_number_after_an_odd_count_of_uniform_ones() -> None:
    """An engine continues with its next output, also after its 624 words are used up."""
    uniform, normal = np.empty(64 * ENGINES * 11 - 3, np.float32), np.empty(1, np.float32)
    draw(0, [Draw(uniform, normal=False, scale=1.0), Draw(normal, normal=True, scale=1.0)])
    share = -(-uniform.size // ENGINES)
    outputs = np.random.RandomState(0).randint(0, 2**32, share + 40, np.uint64)[share:]
    units = outputs.astype(np.float32) * np.float32(2**-32)
    pairs = (2 * units - 1).reshape(-1, 2)
    squares = (pairs**2).sum(axis=1)
    first = np.flatnonzero((squares <= 1) & (squares > 0))[0]
    expected = pairs[first, 1] * np.sqrt(-2 * np.log(squares[first]) / squares[first])
    assert normal[0] == pytest.approx(expected, rel=1e-5)


def test_moments_of_many_numbers() -> None:
    out = np.empty(300_000, np.float32)
    draw(7, [Draw(out, normal=True, scale=2.0)])
    assert abs(out.mean()) < 0.02 and out.std() == pytest.approx(2, rel=0.01)
    draw(7, [Draw(out, normal=False, scale=3.0)])
    assert -3 <= out.min() < -2.99 and 2.99 < out.max() < 3


def test_the_seed_of_each_engine() -> None:
    """Engine i of seed s equals engine 127 s + i of seed 0."""
    draws = []
    for seed in (0, 1):
        out = np.empty(64 * ENGINES, np.float32)
        draw(seed, [Draw(out, normal=True, scale=1.0)])
        draws.append(out.reshape(ENGINES, 64))
    np.testing.assert_array_equal(draws[0][127:], draws[1][:-127])
    largest = np.empty(3, np.float32)
    draw(
        2**32 - 1, [Draw(largest, normal=True, scale=1.0)]
    )  # 127 times this seed is reduced modulo 2^32
    assert np.isfinite(largest).all()
