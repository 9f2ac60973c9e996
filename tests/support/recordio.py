"""RecordIO-protobuf made and read by google.protobuf: the oracle of our own decoder."""

import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from scipy.sparse import csr_array

from factorization_machines.recordio.layout import MAGIC, MAGIC_BYTES

_PACKAGE = "aialgs.data"
_Field = descriptor_pb2.FieldDescriptorProto


def _field(name: str, number: int, kind: Any, *, repeated: bool = False, **more: Any) -> Any:
    label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    if isinstance(kind, str):
        more |= {"type": _Field.TYPE_MESSAGE, "type_name": f".{_PACKAGE}.{kind}"}
    else:
        more["type"] = kind
    return _Field(name=name, number=number, label=label, **more)


def _tensor(name: str, kind: Any) -> Any:
    packed = {"repeated": True, "options": descriptor_pb2.FieldOptions(packed=True)}
    return descriptor_pb2.DescriptorProto(
        name=name,
        field=[
            _field("values", 1, kind, **packed),
            _field("keys", 2, _Field.TYPE_UINT64, **packed),
            _field("shape", 3, _Field.TYPE_UINT64, **packed),
        ],
    )


def _record_class() -> Any:
    """Return the class of aialgs.data.Record, as the service documents the message."""
    members = {"float32": 2, "float64": 3, "int32": 7}
    value = descriptor_pb2.DescriptorProto(
        name="Value",
        oneof_decl=[descriptor_pb2.OneofDescriptorProto(name="value")],
        field=[
            *(
                _field(f"{kind}_tensor", number, f"{kind.capitalize()}Tensor", oneof_index=0)
                for kind, number in members.items()
            ),
            _field("bytes", 9, "Bytes", oneof_index=0),
        ],
    )
    content = descriptor_pb2.DescriptorProto(
        name="Bytes", field=[_field("value", 1, _Field.TYPE_BYTES, repeated=True)]
    )
    entries = [
        descriptor_pb2.DescriptorProto(
            name=name,
            field=[_field("key", 1, _Field.TYPE_STRING), _field("value", 2, "Value")],
            options=descriptor_pb2.MessageOptions(map_entry=True),
        )
        for name in ("FeaturesEntry", "LabelEntry")
    ]
    record = descriptor_pb2.DescriptorProto(
        name="Record",
        nested_type=entries,
        field=[
            _field("features", 1, "Record.FeaturesEntry", repeated=True),
            _field("label", 2, "Record.LabelEntry", repeated=True),
            *(
                _field(name, number, _Field.TYPE_STRING)
                for number, name in enumerate(("uid", "metadata", "configuration"), 3)
            ),
        ],
    )
    file = descriptor_pb2.FileDescriptorProto(
        name="record.proto",
        package=_PACKAGE,
        syntax="proto2",
        message_type=[
            _tensor("Float32Tensor", _Field.TYPE_FLOAT),
            _tensor("Float64Tensor", _Field.TYPE_DOUBLE),
            _tensor("Int32Tensor", _Field.TYPE_INT32),
            content,
            value,
            record,
        ],
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file) if hasattr(pool, "Add") else pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Record"))


Record = _record_class()


def message(
    values: Sequence[float],
    label: float | Sequence[float] | None = 0.0,
    keys: Sequence[int] | None = None,
    shape: Sequence[int] | None = None,
    kind: str = "float32",
    label_kind: str = "float32",
) -> bytes:
    """Return one record's message: sparse with `keys`, else dense; without a label for None."""
    record = Record()
    tensor = getattr(record.features["values"], f"{kind}_tensor")
    tensor.SetInParent()
    tensor.values.extend(values)
    tensor.keys.extend(keys or ())
    tensor.shape.extend(shape or ())
    if label is not None:
        labels = label if isinstance(label, Sequence) else [label]
        getattr(record.label["values"], f"{label_kind}_tensor").values.extend(labels)
    content: bytes = record.SerializeToString()
    return content


def frame(content: bytes, part: int = 0, *, padded: bool = True) -> bytes:
    """Return a message in its frame; `part` is the flag of a split record's part."""
    padding = b"\0" * (-len(content) % 4) if padded else b""
    return struct.pack("<II", MAGIC, part << 29 | len(content)) + content + padding


def split(content: bytes) -> bytes:
    """Return a message as its writer frames it where it holds the magic number."""
    pieces = content.split(MAGIC_BYTES)
    if len(pieces) == 1:
        return frame(content)
    last = len(pieces) - 1
    parts = [1 if i == 0 else 3 if i == last else 2 for i in range(len(pieces))]
    return b"".join(frame(piece, part) for piece, part in zip(pieces, parts, strict=True))


def sparse_file(x: csr_array, y: Iterable[float], kind: str = "float32") -> bytes:
    """Return the rows as a file of sparse records, as write_spmatrix_to_sparse_tensor does."""
    rows = []
    for i, label in enumerate(y):
        here = slice(x.indptr[i], x.indptr[i + 1])
        rows.append(
            frame(
                message(
                    x.data[here].tolist(),
                    float(label),
                    keys=x.indices[here].tolist(),
                    shape=[x.shape[1]],
                    kind=kind,
                    label_kind=kind,
                )
            )
        )
    return b"".join(rows)


def dense_file(x: Any, y: Iterable[float], kind: str = "float32") -> bytes:
    """Return the rows as a file of dense records, as write_numpy_to_dense_tensor does."""
    return b"".join(
        frame(message(row.tolist(), float(label), kind=kind, label_kind=kind))
        for row, label in zip(x, y, strict=True)
    )


def expected(messages: Iterable[bytes], feature_dim: int) -> tuple[Any, Any]:
    """Return what google.protobuf reads from messages: a dense (n, d) array and the labels (n,)."""
    rows, labels = [], []
    for content in messages:
        record = Record.FromString(content)
        value = record.features["values"]
        row = np.zeros(feature_dim, np.float32)
        which = value.WhichOneof("value")
        if which is not None:
            tensor = getattr(value, which)
            values = np.array(tensor.values, np.float64).astype(np.float32)
            keys = list(tensor.keys) or range(len(values))
            np.add.at(row, list(keys), values)
        rows.append(row)
        label = record.label["values"] if "values" in record.label else None
        if label is None:
            labels.append(np.nan)
        else:
            labels.append(getattr(label, label.WhichOneof("value")).values[0])
    return np.array(rows, np.float32).reshape(len(rows), feature_dim), np.array(labels, np.float32)
