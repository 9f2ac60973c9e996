"""What can be wrong with RecordIO and its records: the codes of the decoder, and their messages."""

from factorization_machines.recordio.layout import MAGIC_BYTES

OK = 0
CUT_MESSAGE = 1  # a field exceeds the message that holds it, or has a type it cannot have
BYTES_VALUE = 2
NEED_SPACE = 3  # not an error: the arrays are full at a record's start
BAD_MAGIC = 4
CUT_FRAME = 5  # the data ends inside a frame
BAD_PART = 6  # parts of a split record out of order, or one is not a part
NO_FEATURES = 7
NO_LABEL = 8
LABEL_SIZE = 9  # detail: number of label values
KEY_COUNT = 10  # detail: number of keys
KEY_RANGE = 11  # detail: the key
DENSE_SIZE = 12  # detail: number of values
NOT_FINITE = 13  # detail: the key
LABEL_NOT_FINITE = 14
SHAPE_SIZE = 15  # detail: product of the shape
REQUEST_SHAPE = 16  # detail: product of the shape
OTHER_KEY = 17  # not an error: a map entry whose key is not "values"

_MESSAGES = {
    CUT_MESSAGE: "the content is not an aialgs.data.Record protobuf message",
    BAD_MAGIC: f"expected a RecordIO header, {MAGIC_BYTES.hex(' ')}; got {{head}}",
    CUT_FRAME: "the data ends inside the record: only {left} bytes are left",
    BAD_PART: "the parts of a split record are missing or out of order",
    NO_FEATURES: "no features: the map 'features' has no key 'values'",
    NO_LABEL: "no label: the map 'label' has no key 'values'",
    LABEL_SIZE: "the label must be one number; got {detail} numbers",
    KEY_COUNT: "a sparse row needs as many keys as values; got {detail} keys",
    KEY_RANGE: "key {detail} is not below feature_dim {dim}",
    DENSE_SIZE: "a dense row must have feature_dim {dim} values; got {detail}",
    NOT_FINITE: "the value of feature {detail} is not a finite float32",
    LABEL_NOT_FINITE: "the label is not a finite float32",
    BYTES_VALUE: "a Value of type bytes cannot be read; send float32_tensor",
    SHAPE_SIZE: "keys and values do not fit the record's own shape, {detail}",
    REQUEST_SHAPE: "the record's shape must be feature_dim {dim}; got {detail}",
}


def explain(code: int, detail: int, dim: int, head: bytes, left: int, offset: int) -> str:
    """Return the message for a code.

    Args:
        code: one of the errors above.
        detail: what the decoder says beside it.
        dim: the feature_dim that the record must fit.
        head: the first 16 bytes of the record and what follows it, or fewer at the end.
        left: number of bytes from the record's first one on.
        offset: of that byte in the data. At 0 the data may be of another format altogether.
    """
    message = _MESSAGES[code].format(detail=detail, dim=dim, head=head[:4].hex(" "), left=left)
    return message + (_other_format(head) if code in (BAD_MAGIC, CUT_FRAME) and not offset else "")


def _other_format(head: bytes) -> str:
    """Return the format that data seems to have, as the end of a sentence; "" if unknown."""
    if head.startswith(b"\x1f\x8b"):
        return ": this is gzip; set the channel's CompressionType to 'Gzip', or upload it unpacked"
    if head and all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head):
        return ": this is text (CSV?); write it with write_spmatrix_to_sparse_tensor"
    return ""
