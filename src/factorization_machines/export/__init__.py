"""Converts models to and from other libraries' formats, and exports embeddings and summaries.

Optional libraries are imported in the functions that need them. No pickle: torch files are loaded
with `weights_only=True`.
"""

from factorization_machines.export.embeddings import Embeddings, embeddings
from factorization_machines.export.formats import FORMATS, load, save
from factorization_machines.export.summary import summary

__all__ = ["FORMATS", "Embeddings", "embeddings", "load", "save", "summary"]
