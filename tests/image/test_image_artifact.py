"""The image with a model that mxnet made, one that is still packed, and `fm-model` in it."""

import json
import tarfile

import numpy as np
import pytest
from scipy.sparse import csr_matrix, save_npz

from factorization_machines import artifact
from factorization_machines.artifact import Model
from image.test_image_serve import served
from support import fm, mxnet_env
from support.docker import OFFLINE, READ_ONLY, post, run

pytestmark = pytest.mark.docker

D = 30


def scores_of(port, x):
    instances = [{"features": row} for row in x.toarray().tolist()]
    status, body = post(port, json.dumps({"instances": instances}))
    assert status == 200, body
    return np.array([one["score"] for one in json.loads(body)["predictions"]])


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "model"
    made.mkdir()
    made.chmod(0o755)
    return made


@pytest.mark.mxnet
@pytest.mark.skipif(mxnet_env.missing() is not None, reason=str(mxnet_env.missing()))
@pytest.mark.parametrize("storage", ["default", "row_sparse"])
@pytest.mark.parametrize("network", ["sparse", "dense"])
def test_a_model_that_mxnet_saved(folder, network, storage):
    x, _ = fm.rows(1, 40, D)
    save_npz(folder.parent / "rows.npz", csr_matrix(x.toarray()))
    rows = folder.parent / "rows.npz"
    mxnet_env.run("produce.py", folder, rows, network, storage, "binary_classifier")
    with served(folder) as (_, port):
        scores = scores_of(port, x)
    theirs = np.load(folder / "scores.npy")
    np.testing.assert_allclose(scores, theirs, rtol=0, atol=1e-5)


def test_a_packed_model_on_a_read_only_root(folder):
    parameters = fm.parameters(1, D, 4)
    made = artifact.write(folder, Model(parameters, {"predictor_type": "regressor"}))
    x, _ = fm.rows(1, 40, D)
    with served(folder) as (_, port):
        expected = scores_of(port, x)
    with tarfile.open(folder / "model.tar.gz", "w:gz") as out:
        out.add(made, made.name)
    made.unlink()
    with served(folder) as (container, port):
        np.testing.assert_array_equal(scores_of(port, x), expected)
        assert "serving a regressor of feature_dim 30" in container.logs()


def test_fm_model_in_the_image(folder):
    artifact.write(folder, Model(fm.parameters(1, D, 4), {"predictor_type": "regressor"}))
    folder.chmod(0o777)
    options = (*OFFLINE, *READ_ONLY, "-v", f"{folder}:/opt/ml/model")

    def fm_model(*arguments):
        return run(*options, command=("fm-model", *arguments))

    content = json.loads(fm_model("info", "--json", "/opt/ml/model").stdout)
    assert (content["feature_dim"], content["num_factors"]) == (D, 4)
    for form in ("npz", "torch"):
        done = fm_model("export", "/opt/ml/model", "--to", form, "-o", f"/opt/ml/model/fm.{form}")
        assert (done.code, done.stdout) == (0, f"/opt/ml/model/fm.{form}\n"), done.stderr
    lacking = fm_model("export", "/opt/ml/model", "--to", "onnx", "-o", "/opt/ml/model/fm.onnx")
    assert lacking.code == 3
    assert "PlatformError: onnx is not installed" in lacking.stderr
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["fm.npz", "fm.torch", "model_algo-1"]


def test_fm_model_with_a_limit_of_processes(folder):
    artifact.write(folder, Model(fm.parameters(1, D, 4), {"predictor_type": "regressor"}))
    folder.chmod(0o755)
    options = (*OFFLINE, "--pids-limit", "1", "-v", f"{folder}:/opt/ml/model:ro")
    done = run(*options, command=("fm-model", "info", "/opt/ml/model"))
    assert done.code == 0, done.stderr
