"""The table of hyperparameters; most cases are generated from its own rows."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sagemaker_container.contract import hyperparameters
from sagemaker_container.contract.errors import ConfigurationError, HyperparameterError
from sagemaker_container.contract.hyperparameter_types import (
    Boolean,
    Categorical,
    Continuous,
    Hyperparameter,
    Integer,
)
from sagemaker_container.contract.hyperparameters import BY_NAME, TABLE, check, defaults
from sagemaker_container.contract.suggestions import suggestions

REQUIRED = {"feature_dim": "10", "num_factors": "2", "predictor_type": "regressor"}

# The built-in's own, as it documents and prints them; None: it has no default.
BUILT_IN = {
    "feature_dim": None,
    "num_factors": None,
    "predictor_type": None,
    "epochs": 1,
    "mini_batch_size": 1000,
    "bias_lr": 0.1,
    "linear_lr": 0.001,
    "factors_lr": 0.0001,
    "bias_wd": 0.01,
    "linear_wd": 0.001,
    "factors_wd": 0.00001,
    "bias_init_method": "normal",
    "linear_init_method": "normal",
    "factors_init_method": "normal",
    "bias_init_sigma": 0.01,
    "linear_init_sigma": 0.01,
    "factors_init_sigma": 0.001,
    "bias_init_scale": None,
    "linear_init_scale": None,
    "factors_init_scale": None,
    "bias_init_value": None,
    "linear_init_value": None,
    "factors_init_value": None,
    "clip_gradient": None,
    "eps": None,
    "rescale_grad": None,
    "use_bias": True,
    "use_linear": True,
    "batch_metrics_publish_interval": 500,
    "_optimizer": "adam",
    "_kvstore": "auto",
    "_num_gpus": "auto",
    "_log_level": "info",
    "_tuning_objective_metric": "",
    "_data_format": "record",
    "_num_kv_servers": "auto",
    "_learning_rate": 1.0,
    "_wd": 1.0,
    "_use_full_symbolic": True,
}
OURS = {
    "_memory_budget_mb",
    "_grow",
    "_shuffle",
    *("_seed", "_draw_order", "_engine", "_device", "_num_threads", "_early_stopping_patience"),
    *("_checkpoint_interval", "_host_timeout"),
}
NOT_NUMBERS = (
    "",
    "abc",
    "nan",
    "NaN",
    "inf",
    "-inf",
    "infinity",
    "1_000",
    "١٢",
    "１",
    "0x10",
    "1,5",
)


def of(kind: type[Hyperparameter]) -> list[Hyperparameter]:
    return [row for row in TABLE if type(row) is kind]


def named(row: Hyperparameter) -> str:
    return row.name


def refused(name: str, text: str, allowed: str | None = None) -> str:
    """Return the line that refuses a value, and check that it names value and rule."""
    with pytest.raises(HyperparameterError) as caught:
        check({**REQUIRED, name: text})
    allowed = allowed or BY_NAME[name].allowed()
    assert str(caught.value) == f"{name} must be {allowed}; got {text[:80]!r}"
    return str(caught.value)


def value(name: str, text: str) -> object:
    checked = check(
        # With its number for each init method, so that no cross-field rule is in the way.
        {**REQUIRED, **{f"{t}_init_scale": "1" for t in hyperparameters.TERMS}}
        | {f"{t}_init_value": "1" for t in hyperparameters.TERMS}
        | {name: text}
    )
    row = BY_NAME[name]
    if isinstance(row, Integer):
        return checked.integer(name)
    if isinstance(row, Continuous):
        return checked.real(name)
    return checked.flag(name) if isinstance(row, Boolean) else checked.text(name)


def test_the_names_are_the_built_ins_and_ours() -> None:
    assert {row.name for row in TABLE} == set(BUILT_IN) | OURS
    assert len(BY_NAME) == len(TABLE)
    assert {row.name for row in TABLE if row.required} == set(REQUIRED)


@pytest.mark.parametrize("name", BUILT_IN)
def test_defaults_are_the_built_ins(name: str) -> None:
    row, default = BY_NAME[name], BUILT_IN[name]
    if default is None:
        assert row.default is None
    elif isinstance(row, Categorical) and isinstance(default, float):
        assert row.default is not None and float(row.default) == default
    else:
        assert row.default is not None and row.parse(row.default) == default


def test_the_tunable_ones_are_those_of_the_service() -> None:
    of_terms = {
        f"{term}_{what}"
        for term in ("bias", "linear", "factors")
        for what in ("lr", "wd", "init_sigma", "init_scale", "init_value")
    }
    tunable = {row.name for row in TABLE if row.tunable}
    assert tunable == of_terms | {"epochs", "mini_batch_size"}


def test_a_job_with_only_the_required_ones_gets_the_defaults() -> None:
    checked = check(REQUIRED)
    assert checked.texts == {**defaults(), **REQUIRED}
    assert (checked.integer("epochs"), checked.real("factors_wd")) == (1, 0.00001)
    assert checked.optional_real("clip_gradient") is None
    assert checked.flag("use_bias") is True
    assert checked.text("predictor_type") == "regressor"


@pytest.mark.parametrize("row", of(Integer), ids=named)
def test_integers_at_their_bounds(row: Integer) -> None:
    assert value(row.name, str(row.low)) == row.low
    assert value(row.name, str(row.low + 1)) == row.low + 1
    refused(row.name, str(row.low - 1))
    if row.high is not None:
        assert value(row.name, str(row.high)) == row.high
        refused(row.name, str(row.high + 1))


@pytest.mark.parametrize("row", of(Integer), ids=named)
@pytest.mark.parametrize("text", [str(2**63), "9" * 41, "9" * 5000], ids=len)
def test_integers_that_are_too_large_to_be_stored(row: Integer, text: str) -> None:
    refused(row.name, text, f"an integer from {row.low} to {row.high or 2**63 - 1}")
    if row.high is None:
        assert value(row.name, str(2**63 - 1)) == 2**63 - 1


@pytest.mark.parametrize("row", of(Integer), ids=named)
@pytest.mark.parametrize("text", [*NOT_NUMBERS, "1e3", "1.0", "1.5", "true"])
def test_integers_of_the_wrong_type(row: Integer, text: str) -> None:
    refused(row.name, text)


def below(row: Continuous) -> Iterator[str]:
    if row.low is not None:
        yield repr(row.low - 1e-30)
        yield str(row.low - 1)
        if row.low_open:
            yield repr(row.low)


@pytest.mark.parametrize("row", of(Continuous), ids=named)
def test_reals_at_their_bounds(row: Continuous) -> None:
    if row.low is None:
        assert value(row.name, "-1.5e-3") == -0.0015
    elif row.low_open:
        assert value(row.name, "1.5e-45") == 1.5e-45  # the smallest float32
    else:
        assert value(row.name, repr(row.low)) == row.low
    for text, number in (("1", 1.0), ("+.5", 0.5), ("2.", 2.0), ("1E3", 1000.0), ("1e-05", 1e-5)):
        assert value(row.name, text) == number
    for text in below(row):
        refused(row.name, text)


@pytest.mark.parametrize("row", of(Continuous), ids=named)
@pytest.mark.parametrize("text", [*NOT_NUMBERS, "1e999", "1e", ".", "e5", "true", "--1"])
def test_reals_of_the_wrong_type(row: Continuous, text: str) -> None:
    refused(row.name, text)


@pytest.mark.parametrize("row", of(Continuous), ids=named)
@pytest.mark.parametrize("text", ["1e-46", "5e-324", "1e-999", "0.1e-50", "3.5e38", "1e300"])
def test_reals_that_float32_cannot_store(row: Continuous, text: str) -> None:
    refused(row.name, text, f"{row.allowed()} in the range of float32")
    if not row.low_open:
        assert value(row.name, "0e-999") == 0


def test_values_that_are_too_long_for_the_artifact() -> None:
    with pytest.raises(HyperparameterError) as caught:
        check({**REQUIRED, "_num_gpus": "x" * (1 << 19)})
    assert str(caught.value) == "_num_gpus is too long: all may have 524288 bytes together"


@pytest.mark.parametrize("row", of(Boolean), ids=named)
def test_flags(row: Boolean) -> None:
    for text in ("true", "True", "TRUE"):
        assert value(row.name, text) is True
    for text in ("false", "False"):
        assert value(row.name, text) is False
    for text in ("", "1", "0", "yes", "nan"):
        refused(row.name, text)


@pytest.mark.parametrize("row", of(Categorical), ids=named)
def test_choices(row: Categorical) -> None:
    for option in row.options:
        assert value(row.name, option) == option
    for text in ("", "nan", row.options[0] + "x", row.options[0].upper() + "?"):
        refused(row.name, text)


@pytest.mark.parametrize("row", TABLE, ids=named)
def test_a_required_one_is_required_and_no_other(row: Hyperparameter) -> None:
    given = {name: text for name, text in REQUIRED.items() if name != row.name}
    if not row.required:
        check(given)
        return
    with pytest.raises(HyperparameterError) as caught:
        check(given)
    assert str(caught.value) == f"{row.name} is required: {row.allowed()}"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("num_factor", "num_factors"),
        ("predictor", "predictor_type"),
        ("bais_lr", "bias_lr"),
        ("minibatch_size", "mini_batch_size"),
    ],
)
def test_an_unknown_name_is_told_the_nearest(name: str, near: str) -> None:
    with pytest.raises(HyperparameterError) as caught:
        check({**REQUIRED, name: "1"})
    assert str(caught.value) == (
        f"{name!r} is not a hyperparameter of this algorithm; did you mean {near!r}?"
    )


RATES = ["bias_lr", "linear_lr", "factors_lr"]
DECAYS = ["bias_wd", "linear_wd", "factors_wd"]


@pytest.mark.parametrize(
    ("names", "meant"),
    [
        ("lr learning_rate learningRate learn_rate eta stepSize learning_rates", RATES),
        ("wd weight_decay l2 reg lambda regParam regularization", DECAYS),
        ("linear_learning_rate linearLearningRate learning_rate_linear w_lr", ["linear_lr"]),
        ("bias_learning_rate", ["bias_lr"]),
        ("factors_weight_decay factor_reg v_l2", ["factors_wd"]),
        ("factors k rank n_factors factorSize no_components embedding_dim", ["num_factors"]),
        ("batch_size batchsize bs", ["mini_batch_size"]),
        ("n_iter num_epochs max_epochs maxIter iterations", ["epochs"]),
        ("n_features num_features", ["feature_dim"]),
        ("loss objective task", ["predictor_type"]),
        ("optimizer", ["_optimizer"]),
        ("seed random_state", ["_seed"]),
        ("init_stdev init_std", ["bias_init_sigma", "linear_init_sigma", "factors_init_sigma"]),
        ("gradient_clip", ["clip_gradient"]),
        ("fit_intercept", ["use_bias"]),
        ("patience", ["_early_stopping_patience"]),
    ],
)
def test_a_name_of_another_library_is_told_ours(names: str, meant: list[str]) -> None:
    for name in names.split():
        assert list(suggestions(name, BY_NAME)) == meant, name


def test_a_name_without_a_near_one_is_told_the_public_names() -> None:
    with pytest.raises(HyperparameterError) as caught:
        check({**REQUIRED, "dropout": "1"})
    assert str(caught.value) == (
        "'dropout' is not a hyperparameter of this algorithm; the hyperparameters are feature_dim,"
        " num_factors, predictor_type, epochs, mini_batch_size, {bias,linear,factors}_lr,"
        " {bias,linear,factors}_wd, {bias,linear,factors}_init_method,"
        " {bias,linear,factors}_init_sigma, {bias,linear,factors}_init_scale,"
        " {bias,linear,factors}_init_value, clip_gradient, eps, rescale_grad, use_bias, use_linear,"
        " batch_metrics_publish_interval"
    )


def test_all_problems_are_told_together() -> None:
    with pytest.raises(HyperparameterError) as caught:
        check({"num_factors": "0", "predictor_type": "regresor", "epoch": "3", "bias_lr": "nan"})
    assert str(caught.value).splitlines() == [
        "5 problems",
        "'epoch' is not a hyperparameter of this algorithm; did you mean 'epochs'?",
        "feature_dim is required: an integer from 1 to 2147483647",
        "num_factors must be an integer >= 1; got '0'",
        "predictor_type must be 'binary_classifier' or 'regressor'; got 'regresor'",
        "bias_lr must be a finite number >= 0; got 'nan'",
    ]


@pytest.mark.parametrize("term", ["bias", "linear", "factors"])
@pytest.mark.parametrize(("method", "needs"), [("uniform", "scale"), ("constant", "value")])
def test_an_init_method_needs_its_number(term: str, method: str, needs: str) -> None:
    given = {**REQUIRED, f"{term}_init_method": method}
    with pytest.raises(HyperparameterError) as caught:
        check(given)
    assert str(caught.value) == (
        f"{term}_init_{needs} is required when {term}_init_method is '{method}'"
    )
    check({**given, f"{term}_init_{needs}": "0.5"})


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(HyperparameterError) as caught:
        check({**REQUIRED, "epochs": "x" * 5000, "y" * 5000: "1"})
    assert len(str(caught.value)) < 3000


def test_values_of_a_file_are_strings_or_plain_json(tmp_path: Path) -> None:
    path = tmp_path / "hyperparameters.json"
    path.write_text('{"a": "1", "b": 2, "c": 0.5, "d": true, "e": 1e-05, "f": NaN}')
    texts = hyperparameters.read(path)
    assert texts == {"a": "1", "b": "2", "c": "0.5", "d": "true", "e": "1e-05", "f": "NaN"}
    path.write_text(json.dumps({**REQUIRED, "num_factors": 3, "use_bias": False, "bias_lr": 1}))
    checked = check(hyperparameters.read(path))
    assert (checked.integer("num_factors"), checked.flag("use_bias")) == (3, False)
    assert checked.real("bias_lr") == 1.0


@pytest.mark.parametrize("bad", [[1], {"a": 1}, None, []])
def test_other_values_are_refused(tmp_path: Path, bad: object) -> None:
    path = tmp_path / "hyperparameters.json"
    path.write_text(json.dumps({"epochs": bad}))
    with pytest.raises(ConfigurationError) as caught:
        hyperparameters.read(path)
    expected = f"{path}: the value of 'epochs' must be a string; got {json.dumps(bad)}"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is not JSON: .+"),
        (b'{"epochs": "1"', r"is not JSON: .+"),
        (b"\xff\xfe\x00", r"is not JSON: .+"),
        (b"[" * 100_000, r"is not JSON: .+"),
        (b"[]", r"must hold one JSON object; got \[\]"),
        (b'"epochs"', r'must hold one JSON object; got "epochs"'),
        (b"null", r"must hold one JSON object; got null"),
        (b"[" + b"1," * 99 + b"1]", r"must hold one JSON object; got \[1, .{53}\.\.\."),
    ],
)
def test_a_file_that_is_no_object(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "hyperparameters.json"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        hyperparameters.read(path)
    assert re.fullmatch(f"{re.escape(str(path))} {message}", str(caught.value))


def test_a_file_that_is_not_there_or_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        hyperparameters.read(tmp_path / "hyperparameters.json")
    with pytest.raises(ConfigurationError, match="cannot be read: Not a regular file"):
        hyperparameters.read(tmp_path)
