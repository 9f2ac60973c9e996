"""Cut off what follows the loaded part of ELF files: tables of sections and symbols, for debuggers.

The base images have no `strip`, and the wheels' libraries bring some 100 MB of it.
"""

import struct
import sys

for path in sys.argv[1:]:
    with open(path, "r+b") as file:
        header = file.read(64)
        if header[:6] != b"\x7fELF\x02\x01":  # 64 bits, little-endian: x86_64 and aarch64
            continue
        (table,) = struct.unpack_from("<Q", header, 32)
        size, count = struct.unpack_from("<HH", header, 54)
        file.seek(table)
        segments = [file.read(size) for _ in range(count)]
        # p_offset and p_filesz of each segment; nothing behind the last is mapped into memory.
        spans = [struct.unpack_from("<Q16xQ", segment, 8) for segment in segments]
        file.truncate(max(start + length for start, length in spans))
        for field, width in ((40, 8), (60, 4)):  # e_shoff; e_shnum and e_shstrndx
            file.seek(field)
            file.write(bytes(width))
