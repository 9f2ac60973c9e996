"""The estimators: scikit-learn's checks, its tools, the built-in's numbers, and artifacts."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.metrics import log_loss, root_mean_squared_error
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import factorization_machines
from contract.conftest import DIM, ratings
from factorization_machines import (
    FactorizationMachineClassifier,
    FactorizationMachineEstimator,
    FactorizationMachineRegressor,
    artifact,
)
from factorization_machines.errors import ArtifactError
from factorization_machines.estimator.settings import SAGEMAKER
from factorization_machines.export import cli
from sagemaker_container.contract.hyperparameters import builtin_defaults
from sagemaker_container.serving.app import create_app
from support.job import Job
from support.recordio import sparse_file
from support.scoring import predictor

BOTH = (FactorizationMachineClassifier, FactorizationMachineRegressor)
both = pytest.mark.parametrize("kind", BOTH)

_ROUNDING = (
    "training is in float32, and the check compares predictions to 1e-7: the sum of a gradient "
    "three times and three times the gradient differ in the last digit. "
    "test_integer_weights_repeat_rows compares them to 1e-5. In scikit-learn 1.6 the check also "
    "gives a binary classifier other labels in each of its two fits"
)
EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": _ROUNDING,
    "check_sample_weight_equivalence_on_sparse_data": _ROUNDING,
}
# Needs an environment variable that must be set before scipy is imported.
SKIPPED = {"check_array_api_input"}


def rated() -> tuple[csr_array, Any, Any]:
    """Return rows of a user and a film, whether it is liked, and numbers that follow both."""
    x, y = ratings(550, 1)
    noise = np.random.default_rng(0).standard_normal(y.size)
    return x, y, 50 + 20 * y + noise


@both
def test_check_estimator_passes(kind: Any) -> None:
    results = check_estimator(
        kind(), expected_failed_checks=EXPECTED_FAILURES, on_skip=None, on_fail=None
    )
    assert len(results) > 50
    others = {r["check_name"]: r["status"] for r in results if r["status"] != "passed"}
    assert {name for name, status in others.items() if status == "xfail"} == set(EXPECTED_FAILURES)
    assert {name for name, status in others.items() if status != "xfail"} <= SKIPPED, others


@both
def test_integer_weights_repeat_rows_and_weight_0_leaves_them_out(kind: Any) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((12, 5)), rng.integers(0, 2, 12)
    weights = rng.integers(0, 4, 12)
    weighted = kind(random_state=0).fit(x, y, sample_weight=weights)
    repeated = kind(random_state=0).fit(x.repeat(weights, axis=0), y.repeat(weights))
    for name in ("intercept_", "coef_", "factors_"):
        got, expected = getattr(weighted, name), getattr(repeated, name)
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    removed = kind(random_state=0).fit(x[weights > 0], y[weights > 0], weights[weights > 0])
    assert removed.factors_.tobytes() == weighted.factors_.tobytes()


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"epochs": 3, "mini_batch_size": 64, "clip_gradient": 0.01, "use_bias": False},
        {"factors_init_method": "uniform", "factors_init_scale": 0.1, "optimizer": "adagrad"},
        {"random_state": 5, "rescale_grad": 0.5, "use_linear": False, "eps": 0.1},
    ],
    ids=["defaults", "clipped", "uniform", "seed 5"],
)
@both
def test_sagemaker_trains_as_the_container_does(kind: Any, given: dict[str, Any], job: Job) -> None:
    x, y = ratings(550, 1)
    job.channel("train", sparse_file(x, y))
    names = {"optimizer": "_optimizer", "random_state": "_seed"}
    job.hyperparameters(
        feature_dim=DIM,
        num_factors=4,
        predictor_type=kind.predictor_type,
        **{names.get(name, name): json.dumps(v).strip('"') for name, v in given.items()},
    )
    job.configure("inputdataconfig", {"train": {"TrainingInputMode": "File"}})
    job.configure("resourceconfig", {"current_host": "algo-1", "hosts": ["algo-1"]})
    assert job.train().code == 0, job.failure
    expected = artifact.read(job.model).parameters

    fitted = kind.sagemaker(num_factors=4, **given).fit(x, y)
    assert fitted.factors_.tobytes() == expected.v.tobytes()
    assert fitted.coef_.tobytes() == expected.w.tobytes()
    assert fitted.intercept_.tobytes() == expected.w0.tobytes()

    loaded = kind.load(job.model)
    assert {name: loaded.get_params()[name] for name in given} == given
    assert loaded.get_params() == kind.sagemaker(num_factors=4, **given).get_params()
    if kind is FactorizationMachineClassifier:
        assert loaded.classes_.tolist() == [0, 1]


def test_the_defaults_of_sagemaker_are_those_of_the_table() -> None:
    params = FactorizationMachineClassifier.sagemaker().get_params()
    names = {"optimizer": "_optimizer"}
    table = builtin_defaults()
    compared = {name for name in params if names.get(name, name) in table}
    assert set(SAGEMAKER) - compared == {
        *("fill_batches", "standardize_target", "shuffle", "early_stopping", "random_state")
    }
    for name in compared:
        text = table[names.get(name, name)]
        value = params[name]
        if isinstance(value, bool):
            assert str(value).lower() == text, name
        else:
            assert type(value)(text) == value, name


def test_the_base_class_chooses_the_estimator() -> None:
    made = FactorizationMachineEstimator.sagemaker(predictor_type="regressor", epochs=7)
    assert type(made) is FactorizationMachineRegressor
    assert made.epochs == 7 and made.optimizer == "adam"
    with pytest.raises(ValueError, match="FactorizationMachineClassifier is not for .*'regressor'"):
        FactorizationMachineClassifier.sagemaker(predictor_type="regressor")


@pytest.mark.parametrize("labels", [[0, 1], ["no", "yes"], [-1.0, 2.0], [False, True]], ids=str)
def test_an_artifact_of_a_classifier_returns_with_its_classes(labels: Any, tmp_path: Path) -> None:
    x, y, _ = rated()
    fitted = FactorizationMachineClassifier(epochs=np.int64(2), random_state=0)
    fitted.fit(x, np.array(labels)[y.astype(int)])
    loaded = FactorizationMachineEstimator.load(fitted.save(tmp_path))
    assert type(loaded) is FactorizationMachineClassifier
    assert loaded.get_params() == fitted.get_params()
    assert loaded.classes_.tolist() == labels
    assert loaded.predict(x).tolist() == fitted.predict(x).tolist()
    assert loaded.predict_proba(x).tobytes() == fitted.predict_proba(x).tobytes()
    loaded.set_params(warm_start=True).fit(x, np.array(labels)[y.astype(int)])


@both
def test_a_saved_model_is_served_and_shown(
    kind: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x, y, numbers = rated()
    classifier = kind is FactorizationMachineClassifier
    fitted = kind(epochs=2, random_state=0).fit(x, y if classifier else numbers)
    path = fitted.save(tmp_path / "model.tar.gz")
    model = artifact.read(path)
    client = create_app(predictor(model.parameters, model.predictor_type)).test_client()
    rows = [
        {"data": {"features": {"keys": x.indices[2 * i : 2 * i + 2].tolist(), "shape": [DIM],
                               "values": [1.0, 1.0]}}}
        for i in range(20)
    ]  # fmt: skip
    answer = client.post("/invocations", json={"instances": rows}).get_json()
    scores = [prediction["score"] for prediction in answer["predictions"]]
    expected = fitted.predict_proba(x[:20])[:, 1] if classifier else fitted.predict(x[:20])
    np.testing.assert_allclose(scores, expected, rtol=1e-6)
    cli.run(["info", str(path)])
    shown = capsys.readouterr().out
    assert kind.predictor_type in shown and "local-factorization-machines" in shown


def test_an_artifact_of_the_other_kind_or_damaged_is_refused(tmp_path: Path) -> None:
    x, y, _ = rated()
    folder = FactorizationMachineRegressor(epochs=1).fit(x, y).save(tmp_path).parent
    with pytest.raises(ArtifactError, match="FactorizationMachineClassifier is not for"):
        FactorizationMachineClassifier.load(folder)
    model = artifact.read(folder)
    for note in (
        '{"parameters": {"no_such": 1}}',
        '{"parameters": {"epochs": 0}}',
        "[]",
        "{",
        '{"parameters": []}',
    ):
        artifact.write(
            folder, artifact.Model(model.parameters, model.training_parameters, {"estimator": note})
        )
        with pytest.raises(ArtifactError):
            FactorizationMachineRegressor.load(folder)


@both
def test_every_kind_of_rows_gives_the_same_model(kind: Any) -> None:
    x, y = ratings(200, 1)
    dense = x.toarray()
    frame = pd.DataFrame(dense, columns=[f"f{i}" for i in range(DIM)])
    unsorted = x.copy()
    unsorted.indices = unsorted.indices.reshape(-1, 2)[:, ::-1].ravel()
    before = unsorted.indices.copy()
    found = [kind(epochs=2, random_state=1).fit(rows, y) for rows in (x, dense, frame, unsorted)]
    assert len({fitted.factors_.tobytes() for fitted in found}) == 1
    assert list(found[2].feature_names_in_) == list(frame.columns)
    assert (unsorted.indices == before).all()  # the caller's matrix is as it was


@both
def test_threads_do_not_change_the_model(kind: Any) -> None:
    x, y = ratings(200, 1)
    found = [kind(epochs=2, random_state=1, n_threads=n).fit(x, y).factors_ for n in (1, 2)]
    assert found[0].tobytes() == found[1].tobytes()


def test_a_pipeline_and_a_search() -> None:
    rng = np.random.default_rng(0)
    users, films = rng.integers(0, 12, 400).astype(str), rng.integers(0, 9, 400).astype(str)
    y = np.where((users.astype(int) + films.astype(int)) % 2 == 0, "good", "bad")
    frame = pd.DataFrame({"user": users, "film": films})
    pipeline = make_pipeline(
        OneHotEncoder(handle_unknown="ignore"),
        FactorizationMachineClassifier(random_state=0, factors_lr=0.1, num_factors=4),
    )
    name = "factorizationmachineclassifier__epochs"
    search = GridSearchCV(pipeline, {name: [1, 60]}, cv=3).fit(frame, y)
    assert search.best_params_ == {name: 60}
    assert search.best_score_ > 0.95  # users and films alone say nothing: it is their product
    assert clone(search.best_estimator_).get_params()[name] == 60


def test_more_classes_by_one_against_the_rest() -> None:
    x, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="Only binary classification"):
        FactorizationMachineClassifier().fit(x, y)
    model = OneVsRestClassifier(FactorizationMachineClassifier(random_state=0))
    model = make_pipeline(StandardScaler(), model)
    assert model.fit(x, y).score(x, y) > 0.9


@both
def test_a_warm_start_continues_with_the_same_bits(kind: Any) -> None:
    x, y = ratings(300, 1)
    given = {"random_state": 3, "standardize_target": False}
    whole = kind(epochs=4, shuffle=False, **given).fit(x, y)
    halves = kind(epochs=2, shuffle=False, warm_start=True, **given).fit(x, y)
    halves = pickle.loads(pickle.dumps(halves)).fit(x, y)
    assert halves.factors_.tobytes() == whole.factors_.tobytes()
    parts = kind(shuffle=False, **given)
    for _ in range(4):
        if kind is FactorizationMachineClassifier:
            parts.partial_fit(x, y, classes=[0, 1])
        else:
            parts.partial_fit(x, y)
    assert parts.factors_.tobytes() == whole.factors_.tobytes()
    halves.set_params(num_factors=5)
    with pytest.raises(ValueError, match="num_factors is 5, and the fitted model has 128"):
        halves.fit(x, y)


def test_partial_fit_needs_both_classes_first() -> None:
    x, y = ratings(100, 1)
    estimator = FactorizationMachineClassifier()
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        estimator.partial_fit(x, y)
    estimator.partial_fit(x[:1], y[:1], classes=[0, 1])
    with pytest.raises(ValueError, match="labels that are not in classes_"):
        estimator.partial_fit(x, y + 1)


@both
def test_early_stopping_keeps_the_best_epoch(kind: Any) -> None:
    x, y = ratings(400, 1)
    held_x, held_y = ratings(200, 2)
    held_y = 1 - held_y  # every epoch is worse than the one before
    weights = np.random.default_rng(0).random(held_y.size)
    given = {"random_state": 0, "n_iter_no_change": 2, "epochs": 30}
    stopped = kind(**given).fit(x, y, eval_set=(held_x, held_y, weights))
    losses = stopped.validation_losses_
    best = int(np.argmin(losses))
    assert stopped.n_iter_ == len(losses) == best + 3 < 30
    again = kind(early_stopping=False, random_state=0, epochs=best + 1).fit(x, y)
    assert again.factors_.tobytes() == stopped.factors_.tobytes()
    if kind is FactorizationMachineRegressor:
        error = root_mean_squared_error(held_y, stopped.predict(held_x), sample_weight=weights)
    else:
        error = log_loss(held_y, stopped.predict_proba(held_x), sample_weight=weights)
    assert losses[best] == pytest.approx(error, rel=1e-5)
    with pytest.raises(ValueError, match="eval_set is for early stopping"):
        again.fit(x, y, eval_set=(held_x, held_y))


@both
def test_a_fraction_is_held_out_without_an_evaluation_set(kind: Any) -> None:
    x, _ = ratings(400, 1)
    y = np.random.default_rng(0).integers(0, 2, 400)  # noise, of which nothing can be learned
    given = {"random_state": 0, "num_factors": 4, "factors_lr": 0.1, "epochs": 60}
    fitted = kind(early_stopping=True, refit=False, **given).fit(x, y)
    assert len(fitted.validation_losses_) == fitted.n_iter_ < 60
    best = int(np.argmin(fitted.validation_losses_)) + 1

    refitted = kind(early_stopping=True, **given).fit(x, y)  # on all rows, from the start again
    assert refitted.validation_losses_ == fitted.validation_losses_
    assert refitted.n_iter_ == best
    whole = kind(early_stopping=False, **{**given, "epochs": best}).fit(x, y)
    assert refitted.factors_.tobytes() == whole.factors_.tobytes() != fitted.factors_.tobytes()
    assert not kind(epochs=2).fit(x, y).validation_losses_  # 'auto', with few rows


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e5])
def test_a_regressor_does_not_depend_on_the_unit_of_the_labels(scale: float) -> None:
    x, _, numbers = rated()
    one = FactorizationMachineRegressor(random_state=0).fit(x, numbers)
    other = FactorizationMachineRegressor(random_state=0).fit(x, numbers * scale)
    np.testing.assert_allclose(other.predict(x), one.predict(x) * scale, rtol=1e-3)
    assert one.score(x, numbers) > 0.5


def test_the_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    x, y = ratings(100, 1)
    FactorizationMachineClassifier(epochs=3).fit(x, y)
    assert capsys.readouterr().err == ""
    FactorizationMachineClassifier(epochs=3, verbose=True).fit(x, y)
    assert "3/3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_factors": 0}, "num_factors must be an integer >= 1; got 0"),
        ({"epochs": 2.5}, "epochs must be an integer >= 1; got 2.5"),
        ({"factors_lr": float("nan")}, "factors_lr must be a number >= 0; got nan"),
        ({"optimizer": "lbfgs"}, "optimizer must be 'adam' or 'adagrad' or 'sgd'; got 'lbfgs'"),
        ({"linear_init_method": "uniform"}, "linear_init_scale is required"),
        ({"early_stopping": "no"}, "early_stopping must be 'auto' or True or False; got 'no'"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_a_bad_parameter_is_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FactorizationMachineRegressor(**given).fit(np.eye(4), np.arange(4))


def test_a_scaled_table_of_numbers() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((500, 6)) * [1, 10, 100, 1, 1, 1] + 5
    y = x[:, 1] * x[:, 3] + x[:, 0]
    model = make_pipeline(StandardScaler(), FactorizationMachineRegressor(random_state=0))
    assert model.fit(x[:400], y[:400]).score(x[400:], y[400:]) > 0.9


def test_the_docstrings_name_the_parameters() -> None:
    for kind in BOTH:
        assert all(f"{name} : " in (kind.__doc__ or "") for name in kind().get_params())
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        factorization_machines.nothing  # noqa: B018
