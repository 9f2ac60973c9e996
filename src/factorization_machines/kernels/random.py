"""One engine of MXNet's CPU random generator: a 32-bit Mersenne Twister, as std::mt19937."""

import math
from typing import Any

import numpy as np
from numba import types

from factorization_machines.kernels.jit import inlined_kernel
from factorization_machines.kernels.types import F1, L1, UI1, Float32, Int64, UInt32

# The Mersenne Twister's constants (Matsumoto and Nishimura, 1998), as in std::mt19937.
WORDS, SHIFT = 624, 397
_UPPER, _LOWER, _TWIST = np.uint32(0x80000000), np.uint32(0x7FFFFFFF), np.uint32(0x9908B0DF)
_FIRST_MASK, _SECOND_MASK = np.uint32(0x9D2C5680), np.uint32(0xEFC60000)
_SEED_FACTOR, _32_BITS, _30 = np.uint64(1812433253), np.uint64(2**32 - 1), np.uint64(30)
_1, _7, _11, _15, _18 = (np.uint32(n) for n in (1, 7, 11, 15, 18))

_UNIT = np.float32(2**-32)
_BELOW_ONE = np.nextafter(np.float32(1), np.float32(0))


@inlined_kernel(types.void(UI1, L1, types.uint32))
def seed_engine(state: UInt32, position: Int64, seed: Any) -> None:
    """Seed an engine by writing its `state` (WORDS,) and `position` (1,)."""
    word = np.uint64(seed)
    for i in range(WORDS):
        state[i] = word
        word = (_SEED_FACTOR * (word ^ (word >> _30)) + np.uint64(i + 1)) & _32_BITS
    position[0] = WORDS


@inlined_kernel(types.void(UI1, UI1))
def advance(state: UInt32, outputs: UInt32) -> None:
    """Write the next WORDS numbers of an engine to `outputs`."""
    for i in range(WORDS):
        following = state[i + 1 if i + 1 < WORDS else 0]
        other = state[i + SHIFT if i + SHIFT < WORDS else i + SHIFT - WORDS]
        mixed = (state[i] & _UPPER) | (following & _LOWER)
        state[i] = other ^ (mixed >> _1) ^ (_TWIST * (mixed & _1))
    for i in range(WORDS):
        word = state[i]
        word ^= word >> _11
        word ^= (word << _7) & _FIRST_MASK
        word ^= (word << _15) & _SECOND_MASK
        outputs[i] = word ^ (word >> _18)


@inlined_kernel(types.float32(UI1, UI1, L1))
def next_unit(state: UInt32, outputs: UInt32, position: Int64) -> Any:
    """Return an engine's next float in [0, 1), as std::generate_canonical does."""
    if position[0] == WORDS:
        advance(state, outputs)
        position[0] = 0
    word = outputs[position[0]]
    position[0] += 1
    return min(np.float32(word) * _UNIT, _BELOW_ONE)


@inlined_kernel(types.void(UI1, UI1, L1, types.boolean, types.float32, F1))
def fill(
    state: UInt32, outputs: UInt32, position: Int64, normal: bool, scale: Any, out: Float32
) -> None:
    """Fill `out` (n,) with an engine's next numbers; see `initialization.Draw`."""
    zero, one, two = np.float32(0), np.float32(1), np.float32(2)
    for n in range(out.size):
        if not normal:
            out[n] = two * scale * next_unit(state, outputs, position) - scale
            continue
        # The polar method makes two numbers. MXNet creates a std::normal_distribution for each
        # number, so the second one is never used.
        squares = zero
        y = zero
        while squares > one or squares == zero:
            x = two * next_unit(state, outputs, position) - one
            y = two * next_unit(state, outputs, position) - one
            squares = x * x + y * y
        out[n] = y * np.sqrt(np.float32(-2) * math.log(squares) / squares) * scale
