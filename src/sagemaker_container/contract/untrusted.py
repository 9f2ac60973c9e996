"""The library's handling of untrusted content, for the local service."""

from factorization_machines.artifact.archives import DAMAGE, extract
from factorization_machines.errors import ArtifactError, printable

__all__ = ["DAMAGE", "ArtifactError", "extract", "printable"]
