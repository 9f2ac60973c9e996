"""A model in other libraries' formats, and back; vectors for nearest-neighbour search; a summary.

A library that not everybody has is imported by the function that needs it. No pickle: of torch's
files only weights are loaded.
"""

from factorization_machines.export.embeddings import Embeddings, embeddings
from factorization_machines.export.formats import FORMATS, load, save
from factorization_machines.export.summary import summary

__all__ = ["FORMATS", "Embeddings", "embeddings", "load", "save", "summary"]
