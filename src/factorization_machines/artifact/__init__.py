"""Reads and writes the built-in's model artifact, without pickle and without mxnet.

Input is untrusted until it is checked: nothing is executed, archives are extracted only into an
unnamed temporary file, and memory is allocated only in proportion to the size of the input.
"""

from factorization_machines.artifact.model import FILE_NAME, PREDICTOR_TYPES, Model
from factorization_machines.artifact.reading import assemble, json_object, read
from factorization_machines.artifact.writing import check_writable, save, write

__all__ = [
    "FILE_NAME",
    "PREDICTOR_TYPES",
    "Model",
    "assemble",
    "check_writable",
    "json_object",
    "read",
    "save",
    "write",
]
