"""A model served to each real SDK, in each format that it has a serializer for; batch jobs."""

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from factorization_machines import artifact
from factorization_machines.parameters import score, sigmoid
from support import fm, sdk
from support.recordio import sparse_file

pytestmark = [pytest.mark.sdk, pytest.mark.docker]

DIM, K, ROWS = 30, 4, 12
PARAMETERS = fm.parameters(5, DIM, K, scale=0.4)
JOBS = ("RecordIO", "RecordIO, whole", "RecordIO, lines", "Line, many at once")
EXPECTED = {
    1: ("json", "records", "csv"),
    2: ("json", "records", "float64 records", "csv", "lines", "libsvm", *JOBS),
    3: ("json", "records", "Line"),
}


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """Return dense rows of few non-zeros, one of them empty."""
    x: np.ndarray = fm.rows(9, ROWS, DIM, density=0.2)[0].toarray()
    return x


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, rows: np.ndarray) -> Path:
    """Return what the scripts need: a model as the service keeps it, and rows."""
    made = tmp_path_factory.mktemp("served")
    model = artifact.Model(PARAMETERS, {"predictor_type": "binary_classifier"})
    with tarfile.open(made / "model.tar.gz", "w:gz") as archive:
        archive.add(artifact.write(made, model), artifact.FILE_NAME)
    np.save(made / "rows.npy", rows)
    np.savetxt(made / "rows.csv", rows, fmt="%.9g", delimiter=",")
    (made / "rows.rec").write_bytes(sparse_file(csr_array(rows), np.zeros(ROWS)))
    return made


@pytest.fixture(scope="module")
def served(
    folder: Path, s3: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int], sdk.Run]:
    """Return a function that runs a script once, or skips the test."""
    return sdk.once_each(
        s3, "serve_v{}.py", folder, lambda version: tmp_path_factory.mktemp(f"serve-v{version}")
    )


@pytest.mark.parametrize(
    ("version", "name"), [(v, n) for v, some in EXPECTED.items() for n in some]
)
def test_the_scores(
    version: int, name: str, served: Callable[[int], sdk.Run], rows: np.ndarray
) -> None:
    run = served(version)
    assert run.code == 0, run.story
    found: dict[str, Any] = run.result
    assert sorted(found) == sorted(EXPECTED[version])
    want = sigmoid(score(csr_array(rows), PARAMETERS))
    assert found[name] == pytest.approx(want.tolist(), rel=1e-5)


@pytest.mark.parametrize("version", EXPECTED)
def test_no_other_host_and_nothing_left(version: int, served: Callable[[int], sdk.Run]) -> None:
    run = served(version)
    assert run.other_hosts == ""
    assert run.litter == []
    assert run.running == []
    assert run.left == []
