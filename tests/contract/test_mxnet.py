"""The real mxnet runs our models as public code does, and `serve` runs those that it saves."""

import json
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array, csr_matrix, save_npz

from contract.conftest import DIM, GIVEN, USERS, ratings
from factorization_machines import artifact
from factorization_machines.artifact import ndarrays
from support import fm, mxfiles, mxnet_env
from support.job import Endpoint, Job

pytestmark = [
    pytest.mark.mxnet,
    pytest.mark.skipif(mxnet_env.missing() is not None, reason=str(mxnet_env.missing())),
]


def save_rows(x: csr_array, folder: Path) -> Path:
    path = folder / "rows.npz"
    save_npz(path, csr_matrix((x.data, x.indices.astype(np.int64), x.indptr), shape=x.shape))
    return path


def scores_of(endpoint: Endpoint, x: csr_array) -> np.ndarray:
    instances = []
    for row in range(x.shape[0]):
        part = slice(x.indptr[row], x.indptr[row + 1])
        features = {
            "keys": x.indices[part].tolist(),
            "shape": [x.shape[1]],
            "values": x.data[part].tolist(),
        }
        instances.append({"data": {"features": features}})
    answer = endpoint.invoke({"instances": instances})
    assert answer.status_code == 200, answer.text
    return np.array([one["score"] for one in answer.json()["predictions"]])


@pytest.mark.parametrize("predictor_type", ["binary_classifier", "regressor"])
def test_public_codes_steps_on_our_model(good: Job, predictor_type: str) -> None:
    rates = {"factors_lr": 0.05, "linear_lr": 0.05, "factors_init_sigma": 0.3}
    good.hyperparameters(**{**GIVEN, **rates, "predictor_type": predictor_type})
    assert good.train().code == 0
    x, _ = ratings(150, 3)
    work = good.base / "work"
    work.mkdir()
    with tarfile.open(work / "model.tar.gz", "w:gz") as out:
        out.add(good.model / "model_algo-1", "model_algo-1")
    mxnet_env.run("consume.py", work, save_rows(x, good.base), USERS)
    parameters = artifact.read(good.model).parameters
    with np.load(work / "seen.npz") as seen:
        np.testing.assert_array_equal(seen["V"], parameters.v)
        np.testing.assert_array_equal(seen["w"], parameters.w[:, None])
        np.testing.assert_array_equal(seen["b"], parameters.w0)
        assert seen["num_features"] == str(DIM)
        assert seen["keys"].tolist() == ["arg:v", "arg:w0_weight", "arg:w1_weight"]
        assert seen["items"].shape == (DIM - USERS, 5)
        assert seen["users"].shape == (USERS, 5)
        theirs = seen["scores"]
    with good.served() as endpoint:
        ours = scores_of(endpoint, x)
    assert np.std(ours) > 0.01
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-5)
    # The steps leave a folder of renamed parts: that is a model, too.
    (work / "model_algo-1").unlink()
    (work / "model.tar.gz").unlink()
    np.testing.assert_array_equal(artifact.read(work).parameters.v, parameters.v)


@pytest.mark.parametrize("predictor_type", ["binary_classifier", "regressor"])
@pytest.mark.parametrize("storage", ["default", "row_sparse"])
@pytest.mark.parametrize("network", ["sparse", "dense"])
def test_a_model_that_mxnet_saved_is_served(
    job: Job, network: str, storage: str, predictor_type: str
) -> None:
    x, _ = fm.rows(1, 40, 30)
    rows = save_rows(x, job.base)
    mxnet_env.run("produce.py", job.model, rows, network, storage, predictor_type)
    with zipfile.ZipFile(job.model / "model_algo-1") as archive:
        content = archive.read("params")
    row_sparse = content.count(struct.pack("<Ii", ndarrays.ARRAY_MAGIC, ndarrays.ROW_SPARSE))
    assert row_sparse == (2 if storage == "row_sparse" else 0)
    theirs = np.load(job.model / "scores.npy")
    with job.served() as endpoint:
        ours = scores_of(endpoint, x)
        assert f"serving a {predictor_type} of feature_dim 30 and num_factors 4" in (
            endpoint.log.read_text()
        )
    assert np.std(ours) > 0.05
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_mxnet_reads_the_files_of_our_tests(tmp_path: Path) -> None:
    """Of older MXNets there is none to install; the one there is reads their files."""
    values = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    arrays = {
        "now": mxfiles.dense(values),
        "0.11": mxfiles.dense_v1(values),
        "older": mxfiles.dense_v0(values),
        "float64": mxfiles.dense(values, dtype="<f8", element=1),
        "float16": mxfiles.dense(values, dtype="<f2", element=2),
        "sparse": mxfiles.row_sparse([0, 2], [values[0], values[2]], (3, 2)),
    }
    content = mxfiles.params(arrays)
    (tmp_path / "list").write_bytes(content)
    printed = mxnet_env.run("arrays.py", tmp_path, "list")
    theirs: dict[str, Any] = json.loads(printed.splitlines()[-1])
    assert {name: stype for name, (stype, _, _) in theirs.items() if stype != "default"} == {
        "sparse": "row_sparse"
    }
    ours = ndarrays.read(memoryview(content))
    assert list(ours) == list(theirs)
    for name, (_, shape, listed) in theirs.items():
        assert (list(ours[name].shape), ours[name].tolist()) == (shape, listed)
