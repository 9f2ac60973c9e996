"""Compile kernels with Numba, with a cache that also works in a read-only installation.

Numba uses the cache beside the source only if it can write there, which another user id or a
read-only root file system of the image prevents. The cache of the image is then copied to a
temporary folder of this process, which can also take code for another CPU.
"""

import atexit
import functools
import hashlib
import importlib
import os
import pkgutil
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
_PREFIX = "kernels-"  # of the folders with compiled code
_SOURCES = ("kernels", "recordio")  # the folders with kernels, which import from no other folder

# Numba's fastmath=True also lets the compiler assume that no number is NaN or infinite, and then it
# drops the check for a diverged loss.
REASSOCIATE = {"reassoc", "contract", "arcp", "nsz", "afn"}

# Callers keep the arrays alive, so reference counts are not needed: they are atomic operations on
# memory that all threads share. Calls are inlined because each array argument is passed as its
# fields. Together this makes epochs 1.4 times faster (see bench/).
KERNEL_OPTIONS: dict[str, Any] = {"nogil": True, "_nrt": False, "forceinline": True}

# Inner loops run over num_factors, often 8 or 16. LLVM would unroll them to several vectors, and
# such short loops would then run in the scalar remainder: 15 % slower at 16 (see bench/).
llvmlite.binding.set_option("", "-force-vector-interleave=1")
llvmlite.binding.set_option("", "-unroll-runtime=false")


def kernel(*signatures: object, **options: object) -> Callable[[_Function], _Function]:
    """Return a decorator that compiles a function at import for the given signatures.

    Division follows IEEE 754: Python's check for zero would prevent vectorisation.
    """
    options = {"error_model": "numpy", **options}

    def decorate(function: _Function) -> _Function:
        try:
            compiled: _Function = numba.njit(list(signatures), cache=True, **options)(function)
        except (OSError, RuntimeError):
            # Numba found no writable folder for the cache, or the folder was removed meanwhile.
            compiled = numba.njit(list(signatures), **options)(function)
        return compiled

    return decorate


def inlined_kernel(*signatures: object, **options: object) -> Callable[[_Function], _Function]:
    """Return a decorator like `kernel`, for a function that is inlined and allocates nothing."""
    return kernel(*signatures, **KERNEL_OPTIONS, **options)


def compile_all() -> None:
    """Import every module with kernels, which compiles what the cache does not have."""
    for folder in _SOURCES:
        package = importlib.import_module(f"{_PACKAGE.name}.{folder}")
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)


class KernelCache(caching.InTreeCacheLocator):  # type: ignore[misc]
    """Locates the compiled code of this package's kernels and tells when it is out of date."""

    def __init__(self, function: Any, source: str):
        super().__init__(function, source)
        self._cache_path = str(_folder(Path(source).parent))

    def get_source_stamp(self) -> bytes:
        """Return a hash of all sources that a kernel may have inlined."""
        return _stamp()

    @classmethod
    def from_function(cls, function: Any, source: str) -> "KernelCache | None":
        """Return a locator for a kernel of this package, or None for any other function."""
        if _PACKAGE not in Path(source).parents:
            return None
        located: KernelCache | None = super().from_function(function, source)
        return located


# Numba's own locators serve whatever else is compiled in this process.
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
    """Return the cache folder below a package if it is writable, else a temporary copy of it.

    The folder's name has the stamp: Numba unpickles an index before it compares stamps, which fails
    on the index of a version whose classes had other names.
    """
    parent = package / "__pycache__"
    folder = parent / f"{_PREFIX}{_stamp().hex()[:16]}"
    existing = next(path for path in (folder, parent, package) if path.exists())
    if os.access(existing, os.W_OK):
        if existing != folder:
            for outdated in parent.glob(f"{_PREFIX}*"):
                shutil.rmtree(outdated, ignore_errors=True)
        return folder
    try:
        copy = Path(tempfile.mkdtemp(prefix="fm-kernels-"))
    except OSError:
        return folder
    atexit.register(_remove, copy, os.getpid())
    if folder.exists():
        shutil.copytree(folder, copy, dirs_exist_ok=True)
    return copy


def _remove(folder: Path, owner: int) -> None:
    # A forked worker must not remove the folder of its parent.
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
