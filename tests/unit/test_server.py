"""gunicorn's settings from the environment, and each error of the application as JSON."""

import json

import numpy as np
import pytest
from flask.testing import FlaskClient

from fm_container.algorithm.parameters import Parameters
from fm_container.artifact import Model
from fm_container.errors import ArtifactError, ContainerError, PlatformError
from fm_container.serving.app import create_app
from fm_container.serving.scorer import Scorer
from fm_container.serving.server import settings

ONE = {"instances": [{"features": [1, 0, 2]}]}


def scorer(predictor_type: str = "binary_classifier", v: float = 0.5) -> Scorer:
    parameters = Parameters(
        np.array([0.25], np.float32),
        np.array([1, 2, 3], np.float32),
        np.full((3, 2), v, np.float32),
    )
    return Scorer(Model(parameters, {"predictor_type": predictor_type}))


def client(model: Scorer | ContainerError) -> FlaskClient:
    return create_app(model).test_client()


def error(response: object) -> dict[str, str]:
    content: dict[str, dict[str, str]] = json.loads(response.data)  # type: ignore[attr-defined]
    assert list(content) == ["error"]
    assert list(content["error"]) == ["code", "message"]
    return content["error"]


def test_settings_by_default_and_from_the_environment() -> None:
    plain = settings({})
    assert plain["bind"] == "127.0.0.1:8080"
    assert plain["workers"] >= 1
    assert plain["timeout"] == 60
    asked = settings(
        {
            "FM_BIND_TO_HOST": "0.0.0.0",
            "SAGEMAKER_BIND_TO_PORT": "1234",
            "SAGEMAKER_MODEL_SERVER_WORKERS": "3",
            "SAGEMAKER_MODEL_SERVER_TIMEOUT": "7",
        }
    )
    assert (asked["bind"], asked["workers"], asked["timeout"]) == ("0.0.0.0:1234", 3, 7)


@pytest.mark.parametrize(
    "name",
    [
        "SAGEMAKER_BIND_TO_PORT",
        "SAGEMAKER_MODEL_SERVER_WORKERS",
        "SAGEMAKER_MODEL_SERVER_TIMEOUT",
    ],
)
@pytest.mark.parametrize("text", ["abc", "-1", "1.5", "1e3", "٣", " 1", "4294967296", "9" * 5000])
def test_settings_that_are_no_number(name: str, text: str) -> None:
    with pytest.raises(PlatformError) as caught:
        settings({name: text})
    most = 65535 if "PORT" in name else 2**31 - 1
    assert str(caught.value) == f"{name} must be a whole number from 0 to {most}; got {text!r}"


def test_a_port_that_does_not_exist() -> None:
    assert settings({"SAGEMAKER_BIND_TO_PORT": "65535"})["bind"].endswith(":65535")
    with pytest.raises(PlatformError, match="SAGEMAKER_BIND_TO_PORT must be .*; got '65536'"):
        settings({"SAGEMAKER_BIND_TO_PORT": "65536"})


def test_a_classifiers_and_a_regressors_answer() -> None:
    z = 0.25 + 1 * 1 + 2 * 3 + 0.5 * 0.5 * 2 * (1 * 2)
    answer = client(scorer()).post("/invocations", json=ONE)
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    (prediction,) = answer.get_json()["predictions"]
    assert prediction == {
        "score": pytest.approx(1 / (1 + np.exp(-z)), rel=1e-6),
        "predicted_label": 1.0,
    }
    answer = client(scorer("regressor")).post("/invocations", json=ONE)
    assert answer.get_json() == {"predictions": [{"score": pytest.approx(z, rel=1e-6)}]}


def test_ping() -> None:
    answer = client(scorer()).get("/ping")
    assert (answer.status_code, answer.data) == (200, b"")


def test_without_a_model_both_say_why() -> None:
    app = client(ArtifactError("there is none"))
    for answer in (app.get("/ping"), app.post("/invocations", json=ONE)):
        assert answer.status_code == 503
        assert error(answer) == {"code": "ArtifactError", "message": "there is none"}


def test_a_score_beyond_float32_is_told_and_not_sent() -> None:
    body = {"instances": [{"features": [0, 0, 0]}, {"features": [3e38, 3e38, 3e38]}]}
    answer = client(scorer("regressor", v=1e10)).post("/invocations", json=body)
    assert answer.status_code == 400
    assert error(answer) == {
        "code": "DataError",
        "message": "instance 1 (the first is 0): its score is beyond float32",
    }


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/invocations", 405, "MethodNotAllowed"),
        ("POST", "/ping", 405, "MethodNotAllowed"),
        ("GET", "/", 404, "NotFound"),
        ("POST", "/invocation", 404, "NotFound"),
    ],
)
def test_what_is_not_there(method: str, path: str, status: int, code: str) -> None:
    answer = client(scorer()).open(path, method=method)
    assert answer.status_code == status
    assert answer.mimetype == "application/json"
    assert error(answer)["code"] == code
    assert ("Allow" in answer.headers) == (status == 405)


def test_an_error_of_ours_is_told_without_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    model = scorer()
    model._v = None  # type: ignore[assignment]
    answer = client(model).post("/invocations", json=ONE)
    assert answer.status_code == 500
    said = error(answer)
    assert said["code"] == "InternalError"
    mark = said["message"].split()[-1]
    assert said["message"] == f"an error of the server; its log has it as {mark}"
    assert mark in caplog.text and "Traceback" in caplog.text
