"""The built-in's model artifact, both ways. No pickle; no mxnet.

Whatever is read is hostile until it is checked: nothing is executed, nothing is unpacked outside a
file of our own, and no memory is taken that the bytes at hand do not justify.
"""

from factorization_machines.artifact.model import FILE_NAME, PREDICTOR_TYPES, Model
from factorization_machines.artifact.reading import assemble, read
from factorization_machines.artifact.writing import check_writable, write

__all__ = ["FILE_NAME", "PREDICTOR_TYPES", "Model", "assemble", "check_writable", "read", "write"]
