"""The numbers of both formats: RecordIO's framing, and protobuf's encoding of `aialgs.data.Record`.

A record is the magic number, a word of part flag and length, and the content, padded to words.
Numbers are little-endian. A record whose content holds the magic number may be split there: then
each part has a frame.
"""

MAGIC = 0xCED7230A
MAGIC_BYTES = MAGIC.to_bytes(4, "little")
HEADER_SIZE = 8
LENGTH_BITS = 29
LENGTH_MASK = (1 << LENGTH_BITS) - 1
WHOLE, FIRST, MIDDLE, LAST = range(4)  # the flag of a part, in the bits above the length

# Protobuf's wire types. A field begins with its tag, number << 3 | wire type.
VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5

# The field numbers of each message.
FEATURES, LABEL = 1, 2  # Record: two maps
NAME, VALUE = 1, 2  # an entry of a map
FLOAT32, FLOAT64, INT32, BYTES = 2, 3, 7, 9  # Value: a tensor of one kind
VALUES, KEYS, SHAPE = 1, 2, 3  # a tensor

# The name that both maps have, "values", with its tag and length, as two words of four bytes.
NAME_WORDS = (0x6176060A, 0x7365756C)
