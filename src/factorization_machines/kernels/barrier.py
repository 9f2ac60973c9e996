"""A barrier for threads of compiled code that hold no interpreter lock.

A waiting thread spins first, because the others usually arrive within microseconds. Then it yields
its core, because another thread may need it to arrive at all.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from factorization_machines.kernels.jit import inlined_kernel
from factorization_machines.kernels.simd import call, element_pointer

SPINS = 2000  # loads before a waiting thread yields its core


@intrinsic  # type: ignore[untyped-decorator]
def add_fetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Add one to array[index] atomically and return the new value."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = element_pointer(context, builder, signature.args[0], *arguments)
        step = ir.Constant(ir.IntType(64), 1)
        return builder.add(builder.atomic_rmw("add", place, step, "seq_cst"), step)

    return types.int64(array, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def fetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Return array[index] by an atomic load."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = element_pointer(context, builder, signature.args[0], *arguments)
        return builder.load_atomic(place, "seq_cst", 8)

    return types.int64(array, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def yield_core(typing_context: Any) -> Any:
    """Call POSIX's sched_yield, which the linker finds by its name."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return call(builder, "sched_yield", ir.IntType(32), [])

    return types.int32(), generate


@inlined_kernel(types.void(types.int64[::1], types.int64))
def barrier_wait(counter: Any, threads: int) -> None:
    """Return when all threads have called this; `counter` is (8,) int64, initially zero."""
    if threads == 1:
        return
    target = (add_fetch(counter, 0) + threads - 1) // threads * threads
    spins = 0
    while fetch(counter, 0) < target:
        spins += 1
        if spins > SPINS:
            yield_core()
