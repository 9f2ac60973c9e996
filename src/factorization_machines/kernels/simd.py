"""A SIMD vector of sixteen float32 numbers, the size of a cache line, as a Numba type.

Loops over num_factors are short: the overlap checks and remainder loops of automatic vectorisation
would cost more than the work. LLVM splits the vectors for processors with narrower registers.
"""

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import PrimitiveModel, register_default
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from factorization_machines.kernels.jit import REASSOCIATE

LINE = 16  # float32 numbers in a vector and in a cache line
_FLAGS = tuple(sorted(REASSOCIATE))
_WORD, _BIT = ir.IntType(32), ir.IntType(1)
_VECTOR = ir.VectorType(ir.FloatType(), LINE)
_MASK = ir.VectorType(_BIT, LINE)
_NUMBERS = ir.Constant(ir.VectorType(_WORD, LINE), [ir.Constant(_WORD, n) for n in range(LINE)])

Simd = Any
Array = Any


class SimdType(types.Type):  # type: ignore[misc]
    """Numba's type of a vector."""

    def __init__(self) -> None:
        super().__init__(name="Simd")


SIMD = SimdType()


@register_default(SimdType)
class _Model(PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


def _operator(python: Callable[..., object], instruction: str) -> None:
    """Define an elementwise operator of vectors."""

    class Typing(ConcreteTemplate):  # type: ignore[misc]
        cases = (signature(SIMD, SIMD, SIMD),)

    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return getattr(builder, instruction)(*arguments, flags=_FLAGS)

    infer_global(python)(Typing)
    lower_builtin(python, SIMD, SIMD)(lower)


for add in (operator.add, operator.iadd):
    _operator(add, "fadd")
_operator(operator.sub, "fsub")
_operator(operator.mul, "fmul")
_operator(operator.truediv, "fdiv")


def call(builder: Any, name: str, result: Any, arguments: list[Any], flags: Any = ()) -> Any:
    """Emit a call of a function by its name: an LLVM intrinsic, or a C function."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    return builder.call(function, arguments, fastmath=flags)


def _splat(builder: Any, scalar: Any, kind: Any) -> Any:
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, _WORD(0))
    return builder.shuffle_vector(
        first, ir.Constant(kind, ir.Undefined), ir.Constant(_NUMBERS.type, None)
    )


def element_pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Emit the address of a contiguous array's element at a flat index."""
    data = make_array(kind)(context, builder, array).data
    return builder.gep(data, [index])


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    pointer = element_pointer(context, builder, kind, array, index)
    return builder.bitcast(pointer, _VECTOR.as_pointer())


def _mask(builder: Any, count: Any) -> tuple[Any, Any]:
    """Return whether `count` covers the whole vector, and a mask of the first `count` elements."""
    short = builder.trunc(count, _WORD)
    mask = builder.icmp_signed("<", _NUMBERS, _splat(builder, short, _NUMBERS.type))
    return builder.icmp_signed(">=", short, _WORD(LINE)), mask


@intrinsic  # type: ignore[untyped-decorator]
def splat(typing_context: Any, scalar: Any) -> Any:
    """Return a vector that repeats a float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _splat(builder, arguments[0], _VECTOR)

    return SIMD(types.float32), generate


@intrinsic  # type: ignore[untyped-decorator]
def load(typing_context: Any, array: Any, index: Any, count: Any) -> Any:
    """Return `count` elements of a contiguous array from a flat index on, then zeros."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature.args[0], arguments[0], arguments[1])
        whole, mask = _mask(builder, arguments[2])
        with builder.if_else(whole, likely=True) as (all_lanes, some):
            with all_lanes:
                plain, plain_block = builder.load(place, align=4), builder.block
            with some:
                zeros = ir.Constant(_VECTOR, None)
                name = "llvm.masked.load.v16f32.p0"
                masked = call(builder, name, _VECTOR, [place, _WORD(4), mask, zeros])
                masked_block = builder.block
        vector = builder.phi(_VECTOR)
        vector.add_incoming(plain, plain_block)
        vector.add_incoming(masked, masked_block)
        return vector

    return SIMD(array, types.int64, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def store(typing_context: Any, array: Any, index: Any, count: Any, vector: Any) -> Any:
    """Write the first `count` elements of a vector to a contiguous array from a flat index on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature.args[0], arguments[0], arguments[1])
        whole, mask = _mask(builder, arguments[2])
        with builder.if_else(whole, likely=True) as (all_lanes, some):
            with all_lanes:
                builder.store(arguments[3], place, align=4)
            with some:
                name = "llvm.masked.store.v16f32.p0"
                call(builder, name, ir.VoidType(), [arguments[3], place, _WORD(4), mask])
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64, SIMD), generate


@intrinsic  # type: ignore[untyped-decorator]
def square_root(typing_context: Any, vector: Any) -> Any:
    """Return the elementwise square root."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return call(builder, "llvm.sqrt.v16f32", _VECTOR, list(arguments), _FLAGS)

    return SIMD(SIMD), generate


@intrinsic  # type: ignore[untyped-decorator]
def float_of(typing_context: Any, bits: Any) -> Any:
    """Return the float32 that has the bits of an int32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@intrinsic  # type: ignore[untyped-decorator]
def estimates(typing_context: Any) -> Any:
    """Let divisions and square roots of the calling function start from hardware estimates."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        attribute = '"reciprocal-estimates"="vec-sqrtf,vec-divf"'
        # The add() of llvmlite's attribute set refuses key-value pairs.
        set.add(builder.function.attributes, attribute)
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic  # type: ignore[untyped-decorator]
def total(typing_context: Any, vector: Any) -> Any:
    """Return the sum of a vector's elements."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        zero = ir.Constant(ir.FloatType(), 0.0)
        name = "llvm.vector.reduce.fadd.v16f32"
        return call(builder, name, ir.FloatType(), [zero, arguments[0]], _FLAGS)

    return types.float32(SIMD), generate


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Prefetch the cache line of a contiguous array's element at a flat index."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = element_pointer(context, builder, signature.args[0], *arguments)
        place = builder.bitcast(pointer, cgutils.voidptr_t)
        # Arguments: read access, keep in all cache levels, data cache.
        arguments = [place, _WORD(0), _WORD(3), _WORD(1)]
        call(builder, "llvm.prefetch.p0", ir.VoidType(), arguments)
        return context.get_dummy_value()

    return types.void(array, types.int64), generate
