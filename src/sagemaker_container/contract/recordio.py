"""RecordIO framing for the local service, which may not import the library."""

from factorization_machines.recordio.framing import frame
from factorization_machines.recordio.layout import LENGTH_BITS, LENGTH_MASK, MAGIC_BYTES

__all__ = ["LENGTH_BITS", "LENGTH_MASK", "MAGIC_BYTES", "frame"]
