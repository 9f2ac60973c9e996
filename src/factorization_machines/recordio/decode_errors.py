"""What can be wrong with RecordIO and its records: a code of the kernels', and its words."""

MAGIC = 0xCED7230A

OK = 0
CUT_MESSAGE = 1  # a field reaches beyond the message that holds it, or is of a type it cannot be
BYTES_VALUE = 2
NEED_SPACE = 3  # not an error: the arrays are full at a record's start
BAD_MAGIC = 4
CUT_FRAME = 5  # the data ends inside a frame
BAD_PART = 6  # parts of a split record out of order, or one is no part
NO_FEATURES = 7
NO_LABEL = 8
LABEL_SIZE = 9  # detail: number of label values
KEY_COUNT = 10  # detail: number of keys
KEY_RANGE = 11  # detail: the key
DENSE_SIZE = 12  # detail: number of values
NOT_FINITE = 13  # detail: the key
LABEL_NOT_FINITE = 14
SHAPE = 15  # detail: what the shape holds
OTHER_KEY = 16  # not an error: a map entry whose key is not "values"

_WORDS = {
    CUT_MESSAGE: "the content is not an aialgs.data.Record protobuf message",
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
    SHAPE: "keys and values do not fit the record's own shape, {detail}",
}


def explain(code: int, detail: int, dim: int) -> str:
    """Return the words for a code; `dim` is the feature_dim that the record must fit."""
    return _WORDS[code].format(detail=detail, dim=dim)


def bad_magic(head: bytes, at: int) -> str:
    """Return the words for a frame at byte `at` that begins with `head`, and what that may be."""
    seems = _what_else(head) if at == 0 else ""
    return f"expected a RecordIO header, 0a 23 d7 ce; got {head[:4].hex(' ')}{seems}"


def cut_frame(head: bytes, at: int, left: int) -> str:
    """Return the words for a frame at byte `at` that is longer than the `left` bytes there."""
    seems = _what_else(head) if at == 0 else ""
    return f"the data ends inside the record: only {left} bytes are left{seems}"


def _what_else(head: bytes) -> str:
    """Return what data that is no RecordIO seems to be, as the end of a sentence."""
    if head.startswith(b"\x1f\x8b"):
        return ": this is gzip; set the channel's CompressionType to 'Gzip', or upload it unpacked"
    if head and all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head):
        return ": this is text (CSV?); write it with write_spmatrix_to_sparse_tensor"
    return ""
