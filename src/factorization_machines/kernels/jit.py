"""Compiles kernels with numba, from a cache that also works where nothing is writable.

Numba takes the cache beside the source only if it can write there. In the image, another user id
or a read-only root cannot: there the cache made with the image is copied to a temporary folder of
this process, so that it is found again and another CPU's code can be added. Where even that is
not writable, kernels are compiled without a cache.
"""

import atexit
import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import llvmlite.binding
import numba
from numba.core import caching, config

_Function = TypeVar("_Function", bound=Callable[..., object])
_PACKAGE = Path(__file__).parents[1]
_SOURCES = ("kernels", "recordio")  # all folders with kernels; these import from nowhere else

# What a compiler may do to sums, without leave to assume that there is no NaN or infinity:
# numba's fastmath=True takes that leave too, and a check for a diverged loss would be dropped.
REASSOCIATE = {"reassoc", "contract", "arcp", "nsz", "afn"}

# A kernel on arrays that its caller keeps alive. Counting references to them, as numba does at each
# call and each slice, is an atomic step on memory that all threads share; and a call hands over
# dozens of words, the fields of the arrays. Without both, epochs are 1.4 times faster (see bench/).
LEAN: dict[str, Any] = {"nogil": True, "_nrt": False, "forceinline": True}

# Inner loops run over num_factors, often 8 or 16. Unrolled to more than one vector, as LLVM would,
# they would do all of it in the remainder, number by number: 15 % slower at 16 (see bench/).
llvmlite.binding.set_option("", "-force-vector-interleave=1")
llvmlite.binding.set_option("", "-unroll-runtime=false")


def kernel(*signatures: object, **options: object) -> Callable[[_Function], _Function]:
    """Return a decorator that compiles a function at import, for the given signatures.

    Division follows IEEE 754: a check for zero, which Python's own would be, keeps a loop from
    being vectorised.
    """
    options = {"error_model": "numpy", **options}

    def decorate(function: _Function) -> _Function:
        try:
            compiled: _Function = numba.njit(list(signatures), cache=True, **options)(function)
        except (OSError, RuntimeError):
            # Numba has no folder for a cache, or lost it between choosing and writing.
            compiled = numba.njit(list(signatures), **options)(function)
        return compiled

    return decorate


class KernelCache(caching.InTreeCacheLocator):  # type: ignore[misc]
    """Where the compiled code of this package's kernels lies, and when it is out of date."""

    def __init__(self, function: Any, source: str):
        super().__init__(function, source)
        self._cache_path = str(_folder(Path(source).parent))

    def get_source_stamp(self) -> bytes:
        """Return a hash of all sources whose code a kernel may hold."""
        return _stamp()

    @classmethod
    def from_function(cls, function: Any, source: str) -> "KernelCache | None":
        """Return a locator for a kernel of this package, None for others or without a folder."""
        if _PACKAGE not in Path(source).parents:
            return None
        located: KernelCache | None = super().from_function(function, source)
        return located


# Ours first, then numba's own for whatever else is compiled in this process.
config.CACHE_LOCATOR_CLASSES = config.CACHE_LOCATOR_CLASSES or (
    "factorization_machines.kernels.jit.KernelCache,UserProvidedCacheLocator,InTreeCacheLocator,UserWideCacheLocator"
)


@functools.cache
def _stamp() -> bytes:
    content = hashlib.sha256()
    for folder in _SOURCES:
        for source in sorted((_PACKAGE / folder).glob("*.py")):
            content.update(source.read_bytes())
    return content.digest()


@functools.cache
def _folder(package: Path) -> Path:
    """Return the folder of a package's cache: beside it if writable, else a copy of that."""
    beside = package / "__pycache__"
    if os.access(beside if beside.exists() else package, os.W_OK):
        return beside
    try:
        copy = Path(tempfile.mkdtemp(prefix="fm-kernels-"))
    except OSError:
        return beside
    atexit.register(_remove, copy, os.getpid())
    for pattern in ("*.nbi", "*.nbc"):
        for file in beside.glob(pattern):
            shutil.copy(file, copy)
    return copy


def _remove(folder: Path, owner: int) -> None:
    # A forked worker must not remove what its parent still uses.
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
