"""A barrier that threads of compiled code meet at, thousands of times a second.

Each thread runs without the interpreter's lock, so that Python's own barriers are out of reach.
Waiting spins for a moment, because the others are microseconds away, and then gives the core away,
because they may have none.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from factorization_machines.kernels.jit import LEAN, kernel

SPINS = 2000


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


@intrinsic  # type: ignore[untyped-decorator]
def add_fetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Add one to array[index] as one step that all threads see; return the new value."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        one = ir.Constant(ir.IntType(64), 1)
        return builder.add(builder.atomic_rmw("add", place, one, "seq_cst"), one)

    return types.int64(array, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def fetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Return array[index] as other threads left it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        return builder.load_atomic(place, "seq_cst", 8)

    return types.int64(array, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def yield_core(typing_context: Any) -> Any:
    """Let another thread have this core; POSIX's sched_yield, found by name when it is linked."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])

    return types.int32(), generate


@kernel(types.void(types.int64[::1], types.int64), **LEAN)
def meet(counter: Any, threads: int) -> None:
    """Return when all of `threads` have come; counter is (8,) int64, zero at first."""
    if threads == 1:
        return
    target = (add_fetch(counter, 0) + threads - 1) // threads * threads
    spins = 0
    while fetch(counter, 0) < target:
        spins += 1
        if spins > SPINS:
            yield_core()
