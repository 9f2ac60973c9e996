"""`parse` and `skip` compiled, with all functions that they call: what decodes channels."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.core.typing.templates import Signature
from numba.extending import intrinsic, overload, register_jitable

from factorization_machines.kernels.jit import KERNEL_OPTIONS, kernel
from factorization_machines.recordio import framing, parser, protobuf, record

_OPTIONS = {"error_model": "numpy", **KERNEL_OPTIONS}
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_INT = types.int64
_ROWS = types.NamedTuple(
    (types.float32[::1], types.int32[::1], _INT[::1], types.float32[::1], _INT[::1]), record.Rows
)


def _load(_: object, data: Any, at: object, number: Any) -> tuple[Signature, Callable[..., Any]]:
    """Return the number of this type at an offset, aligned or not, in one instruction."""

    def code(context: Any, builder: Any, signature: Signature, arguments: Any) -> Any:
        array = context.make_array(data)(context, builder, arguments[0])
        pointer = context.get_data_type(number.dtype).as_pointer()
        address = builder.bitcast(builder.gep(array.data, [arguments[1]]), pointer)
        return builder.load(address, align=1)

    return number.dtype(data, types.int64, number), code


_load_number = intrinsic(_load)


def _loads(function: Callable[..., object], number: Any) -> None:
    """Compile a load of this type wherever `function` is called."""
    overload(function, jit_options=_OPTIONS, strict=False)(
        lambda data, at: lambda data, at: _load_number(data, at, number)
    )


_loads(framing.uint32_at, np.uint32)
_loads(protobuf.float32_at, np.float32)
_loads(protobuf.float64_at, np.float64)
overload(framing.new_bytes, strict=False)(lambda size: lambda size: np.empty(size, np.uint8))

for _function in (
    *(framing.header, framing.following, framing.split_record),
    *(protobuf.varint, protobuf.field, protobuf.numbers),
    *(record.tensor, record.is_values, record.is_number, record.entry),
    *(record.are_ready, record.row, record.record, parser.append, parser.parse_whole),
):
    register_jitable(**_OPTIONS)(_function)
register_jitable(framing.join_parts)

skip = kernel(types.UniTuple(_INT, 2)(_BYTES, _INT), **KERNEL_OPTIONS)(framing.skip)

# Without the interpreter's lock: training goes on while it decodes.
parse = kernel(_INT(_BYTES, _INT, _INT, _ROWS), nogil=True)(parser.parse)
