"""A model in other libraries' formats, and back; vectors for nearest-neighbour search; a summary.

A library that not everybody has is imported by the function that needs it. No pickle: of torch's
files only weights are loaded.
"""

from fm_container.exchange.embeddings import Embeddings, embeddings
from fm_container.exchange.formats import FORMATS, load, save
from fm_container.exchange.summary import summary

__all__ = ["FORMATS", "Embeddings", "embeddings", "load", "save", "summary"]
