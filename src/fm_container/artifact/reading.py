"""model_algo-1, read and checked."""

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

from fm_container.algorithm.parameters import Parameters
from fm_container.artifact import ndarrays
from fm_container.artifact.model import FILE_NAME, PREDICTOR_TYPES, Model
from fm_container.errors import ArtifactError

_LARGEST_JSON = 1 << 20
_NAMES = ("arg:w0_weight", "arg:w1_weight", "arg:v")


def read(folder: Path) -> Model:
    """Return the model that a folder such as /opt/ml/model holds.

    Cost: memory for the parameters, once.

    Raises: ArtifactError if there is none, or it is cut short, damaged, or no factorization
        machine.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        found = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
        holds = ", ".join(found[:5]) or "nothing"
        raise ArtifactError(f"there is no {FILE_NAME} in {folder}; it holds {holds}")
    try:
        with zipfile.ZipFile(path) as archive:
            return _read_zip(archive)
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from None
    # zipfile's own words for damage: its error, a file that ends, a lying checksum, size or flag.
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as error:
        raise ArtifactError(f"{path} is no zip, or a damaged one: {error}") from None
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror or error}") from error
    except MemoryError:
        raise ArtifactError(f"{path}: not enough memory for its parameters") from None


def _read_zip(archive: zipfile.ZipFile) -> Model:
    names = archive.namelist()
    missing = [name for name in ("meta.json", "params") if name not in names]
    if missing:
        raise ArtifactError(f"no {missing[0]} inside; it holds {', '.join(names[:5]) or 'nothing'}")
    training = _training_parameters(archive)
    info = _member(archive, "params")
    with archive.open(info) as stream:
        arrays = ndarrays.read(cast(BinaryIO, stream), info.file_size)
        while stream.read(1 << 20):
            pass  # to the end: only there zipfile compares the checksum
    absent = [name for name in _NAMES if name not in arrays]
    if absent:
        held = ", ".join(arrays) or "none"
        raise ArtifactError(f"no factorization machine: no array {absent[0]!r} in params ({held})")
    w0, w, v = (arrays[name] for name in _NAMES)
    if v.ndim != 2 or w.shape != (v.shape[0], 1) or w0.shape != (1,) or v.size == 0:
        raise ArtifactError(
            f"shapes that do not fit: v {v.shape}, w1_weight {w.shape}, w0_weight {w0.shape}"
        )
    parameters = Parameters(w0, w[:, 0], v)
    if not parameters.finite():
        raise ArtifactError("a parameter is NaN or infinite")
    return Model(parameters, training)


def _member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    info = archive.getinfo(name)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArtifactError(f"{name} must be stored or deflated; got method {info.compress_type}")
    return info


def _training_parameters(archive: zipfile.ZipFile) -> dict[str, str]:
    info = _member(archive, "meta.json")
    if info.file_size > _LARGEST_JSON:
        raise ArtifactError(f"meta.json has {info.file_size} bytes; at most {_LARGEST_JSON}")
    try:
        meta: Any = json.loads(archive.read(info))
        training = dict(meta["training_parameters"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArtifactError(f"meta.json has no training_parameters: {error!r}") from None
    predictor = training.get("predictor_type")
    if predictor not in PREDICTOR_TYPES:
        raise ArtifactError(
            f"meta.json: predictor_type must be one of {', '.join(PREDICTOR_TYPES)}; "
            f"got {predictor!r}"
        )
    return {str(name): str(value) for name, value in training.items()}
