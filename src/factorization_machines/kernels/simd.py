"""Sixteen float32 numbers as one value of compiled code: what a cache line holds.

Loops over num_factors are short, so that what a compiler adds to vectorise them (checks that arrays
do not overlap, loops for remainders) would cost more than the work. Written with lanes there is
nothing to add; a processor with narrower vectors works on halves or quarters.
"""

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.core.datamodel import PrimitiveModel, register_default
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from factorization_machines.kernels import simd_plain
from factorization_machines.kernels.jit import REASSOCIATE

LINE = simd_plain.LINE  # lanes, and float32 numbers in a cache line
_FLAGS = tuple(sorted(REASSOCIATE))
_WORD, _BIT = ir.IntType(32), ir.IntType(1)
_VECTOR = ir.VectorType(ir.FloatType(), LINE)
_MASK = ir.VectorType(_BIT, LINE)
_NUMBERS = ir.Constant(ir.VectorType(_WORD, LINE), [ir.Constant(_WORD, n) for n in range(LINE)])

Lanes = Any
Array = Any


class LanesType(types.Type):  # type: ignore[misc]
    """Numba's type of lanes."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


LANES = LanesType()


@register_default(LanesType)
class _Model(PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


def _operator(python: Callable[..., object], instruction: str) -> None:
    """Give lanes an operator, lane by lane."""

    class Typing(ConcreteTemplate):  # type: ignore[misc]
        cases = (signature(LANES, LANES, LANES),)

    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return getattr(builder, instruction)(*arguments, flags=_FLAGS)

    infer_global(python)(Typing)
    lower_builtin(python, LANES, LANES)(lower)


for add in (operator.add, operator.iadd):
    _operator(add, "fadd")
_operator(operator.sub, "fsub")
_operator(operator.mul, "fmul")
_operator(operator.truediv, "fdiv")


def _call(builder: Any, name: str, result: Any, arguments: list[Any], flags: Any = ()) -> Any:
    """Call one of LLVM's own functions."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    return builder.call(function, arguments, fastmath=flags)


def _splat(builder: Any, scalar: Any, kind: Any) -> Any:
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, _WORD(0))
    return builder.shuffle_vector(
        one, ir.Constant(kind, ir.Undefined), ir.Constant(_NUMBERS.type, None)
    )


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    data = make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())


def _mask(builder: Any, count: Any) -> tuple[Any, Any]:
    """Return whether all lanes are meant, and a mask of the first `count`."""
    short = builder.trunc(count, _WORD)
    mask = builder.icmp_signed("<", _NUMBERS, _splat(builder, short, _NUMBERS.type))
    return builder.icmp_signed(">=", short, _WORD(LINE)), mask


@intrinsic  # type: ignore[untyped-decorator]
def splat(typing_context: Any, scalar: Any) -> Any:
    """Return a float32 in every lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _splat(builder, arguments[0], _VECTOR)

    return LANES(types.float32), generate


@intrinsic  # type: ignore[untyped-decorator]
def load(typing_context: Any, array: Any, index: Any, count: Any) -> Any:
    """Return a contiguous array's elements from a flat index on, `count` of them and then zeros."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature.args[0], arguments[0], arguments[1])
        whole, mask = _mask(builder, arguments[2])
        with builder.if_else(whole, likely=True) as (all_lanes, some):
            with all_lanes:
                plain, plain_block = builder.load(place, align=4), builder.block
            with some:
                zeros = ir.Constant(_VECTOR, None)
                name = "llvm.masked.load.v16f32.p0"
                masked = _call(builder, name, _VECTOR, [place, _WORD(4), mask, zeros])
                masked_block = builder.block
        lanes = builder.phi(_VECTOR)
        lanes.add_incoming(plain, plain_block)
        lanes.add_incoming(masked, masked_block)
        return lanes

    return LANES(array, types.int64, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def store(typing_context: Any, array: Any, index: Any, count: Any, lanes: Any) -> Any:
    """Write the first `count` lanes to a contiguous array, from a flat index on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature.args[0], arguments[0], arguments[1])
        whole, mask = _mask(builder, arguments[2])
        with builder.if_else(whole, likely=True) as (all_lanes, some):
            with all_lanes:
                builder.store(arguments[3], place, align=4)
            with some:
                name = "llvm.masked.store.v16f32.p0"
                _call(builder, name, ir.VoidType(), [arguments[3], place, _WORD(4), mask])
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64, LANES), generate


@intrinsic  # type: ignore[untyped-decorator]
def square_root(typing_context: Any, lanes: Any) -> Any:
    """Return the square root of each lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _call(builder, "llvm.sqrt.v16f32", _VECTOR, list(arguments), _FLAGS)

    return LANES(LANES), generate


@intrinsic  # type: ignore[untyped-decorator]
def float_of(typing_context: Any, bits: Any) -> Any:
    """Return the float32 that is written with the bits of an int32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@intrinsic  # type: ignore[untyped-decorator]
def estimates(typing_context: Any) -> Any:
    """Let divisions and square roots of the function, and what it inlines, start from estimates."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        attribute = '"reciprocal-estimates"="vec-sqrtf,vec-divf"'
        set.add(builder.function.attributes, attribute)  # llvmlite's own add knows no such pairs
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic  # type: ignore[untyped-decorator]
def total(typing_context: Any, lanes: Any) -> Any:
    """Return the sum of the lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        zero = ir.Constant(ir.FloatType(), 0.0)
        name = "llvm.vector.reduce.fadd.v16f32"
        return _call(builder, name, ir.FloatType(), [zero, arguments[0]], _FLAGS)

    return types.float32(LANES), generate


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of a contiguous array's element at a flat index, to be read soon."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.bitcast(builder.gep(data, [arguments[1]]), cgutils.voidptr_t)
        # To be read, into every level of the cache, data.
        arguments = [place, _WORD(0), _WORD(3), _WORD(1)]
        _call(builder, "llvm.prefetch.p0", ir.VoidType(), arguments)
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


if config.DISABLE_JIT:
    for name in (
        *("splat", "load", "store", "clipped", "total", "float_of", "square_root"),
        *("prefetch", "estimates"),
    ):
        globals()[name] = getattr(simd_plain, name)
