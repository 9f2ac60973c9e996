"""Every legal way to write a record: hypothesis strategies over protobuf's wire format."""

import struct
from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from factorization_machines.recordio.layout import MAGIC_BYTES

KINDS = {"float32": 2, "float64": 3, "int32": 7}  # members of Value
_PLAIN = {"float32": ("<f", 5), "float64": ("<d", 1)}  # layout, and wire type of one number


def varint(number: int) -> bytes:
    """Return a base-128 integer; a negative one as its 64-bit two's complement."""
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, wire: int, content: bytes) -> bytes:
    """Return a field; with wire type 2 the content gets its length."""
    length = varint(len(content)) if wire == 2 else b""
    return varint(number << 3 | wire) + length + content


def number_fields(kind: str, number: int, values: Sequence[float], packed: bool) -> list[bytes]:
    """Return a repeated number: as one packed field, or a field each."""
    if kind in _PLAIN:
        layout, wire = _PLAIN[kind]
        raw = [struct.pack(layout, value) for value in values]
    else:
        raw, wire = [varint(int(value)) for value in values], 0
    if packed:
        return [field(number, 2, b"".join(raw))]
    return [field(number, wire, one) for one in raw]


# Numbers that no message here uses, in each wire type that protobuf 3 has.
unknown_fields = st.one_of(
    *(
        st.builds(field, st.integers(20, 5000), st.just(wire), content)
        for wire, content in (
            (0, st.integers(0, 2**64 - 1).map(varint)),
            (1, st.binary(min_size=8, max_size=8)),
            (2, st.binary(max_size=9)),
            (5, st.binary(min_size=4, max_size=4)),
        )
    )
)


@st.composite
def _repeated(draw: st.DrawFn, kind: str, number: int, values: Sequence[float]) -> list[bytes]:
    """Return the fields of a repeated number, cut at any place, each piece packed or not."""
    cut = draw(st.integers(0, len(values)))
    pieces = [values[:cut], values[cut:]] if cut else [values]
    return [
        one for piece in pieces for one in number_fields(kind, number, piece, draw(st.booleans()))
    ]


@st.composite
def _mixed(draw: st.DrawFn, *lists: list[bytes], unknown: int = 2) -> list[bytes]:
    """Return the fields in any order that keeps each list's own, with unknown ones between."""
    queues = [list(one) for one in lists if one]
    queues.append(draw(st.lists(unknown_fields, max_size=unknown)))
    order = draw(st.permutations([i for i, queue in enumerate(queues) for _ in queue]))
    return [queues[i].pop(0) for i in order]


@st.composite
def _tensor(
    draw: st.DrawFn, kind: str, values: Sequence[float], keys: Sequence[int], shape: Sequence[int]
) -> list[bytes]:
    return draw(
        _mixed(
            draw(_repeated(kind, 1, values)),
            draw(_repeated("uint64", 2, keys)) if keys else [],
            draw(_repeated("uint64", 3, shape)) if shape else [],
        )
    )


@st.composite
def _value(
    draw: st.DrawFn, kind: str, values: Sequence[float], keys: Sequence[int], shape: Sequence[int]
) -> list[bytes]:
    """Return the fields of a Value: the tensor whole, or in two messages that merge."""
    parts = draw(_tensor(kind, values, keys, shape))
    cut = draw(st.integers(0, len(parts)))
    pieces = [parts[:cut], parts[cut:]] if cut else [parts]
    tensors = [field(KINDS[kind], 2, b"".join(piece)) for piece in pieces]
    if draw(st.booleans()):
        # Another member before it: the last of a oneof counts.
        other = draw(st.sampled_from([name for name in KINDS if name != kind]))
        tensors.insert(0, field(KINDS[other], 2, number_fields(other, 1, [5, 6, 7], True)[0]))
    return draw(_mixed(tensors))


@st.composite
def _entry(draw: st.DrawFn, number: int, name: bytes, value: list[bytes]) -> bytes:
    """Return a map entry, key first or last, its Value whole or in two fields that merge."""
    cut = draw(st.integers(0, len(value)))
    pieces = [value[:cut], value[cut:]] if cut else [value]
    values = [field(2, 2, b"".join(piece)) for piece in pieces]
    # No unknown fields: protobuf's C decoder drops an entry that has one, its Python decoder not.
    return field(number, 2, b"".join(draw(_mixed([field(1, 2, name)], values, unknown=0))))


@st.composite
def rows(draw: st.DrawFn, feature_dim: int) -> tuple[str, list[float], list[int]]:
    """Return kind, values and keys of a row: dense, sparse in any order, or empty."""
    kind = draw(st.sampled_from(list(KINDS)))
    dense = draw(st.booleans())
    if dense:
        keys, size, exact = [], draw(st.sampled_from([0, feature_dim])), False
    else:
        keys = draw(st.lists(st.integers(0, feature_dim - 1), max_size=2 * feature_dim))
        # Where keys repeat their values are added: eighths have one sum in any order.
        size, exact = len(keys), len(set(keys)) < len(keys)
    if kind == "int32":
        low = 1000 if exact else 2**31
        numbers: st.SearchStrategy[float] = st.integers(-low, low - 1)
    elif exact:
        numbers = st.integers(-800, 800).map(lambda i: i / 8)
    else:
        numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
    values = draw(st.lists(numbers | st.just(0), min_size=size, max_size=size))
    return kind, values, keys


@st.composite
def messages(draw: st.DrawFn, feature_dim: int) -> bytes:
    """Return one Record message, its features and label written in any legal way."""
    features: list[bytes] = []
    for _ in range(draw(st.integers(1, 2))):  # a repeated map key: the last counts
        kind, values, keys = draw(rows(feature_dim))
        shape = [feature_dim] if draw(st.booleans()) else []
        features.append(draw(_entry(1, b"values", draw(_value(kind, values, keys, shape)))))
    labels = []
    for _ in range(draw(st.integers(1, 2))):
        kind = draw(st.sampled_from(list(KINDS)))
        number = draw(st.integers(-5, 5))
        labels.append(draw(_entry(2, b"values", draw(_value(kind, [number], [], [])))))
    others = [
        draw(_entry(1, b"other", [field(9, 2, b"")])),
        draw(_entry(2, b"value", [field(2, 2, b"")])),
        field(3, 2, b"uid"),
        field(4, 2, b"values"),
    ]
    return b"".join(draw(_mixed(features, labels, others)))


def magic_float() -> float:
    """Return the float32 whose bytes are the magic number: a record with it is split."""
    return float(np.frombuffer(MAGIC_BYTES, np.float32)[0])
