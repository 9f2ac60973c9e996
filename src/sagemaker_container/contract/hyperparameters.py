"""The table of hyperparameters, and the parsing of a job's strings into checked values.

Names, defaults and ranges are the built-in's, from its public documentation. Names with a leading
underscore are its private ones, as its log prints them, except those marked "ours".
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from factorization_machines.artifact.model import LARGEST_JSON
from factorization_machines.optimizers import OPTIMIZERS
from sagemaker_container.contract.errors import ConfigurationError, HyperparameterError
from sagemaker_container.contract.hyperparameter_types import (
    Boolean,
    Categorical,
    Continuous,
    Hyperparameter,
    Integer,
    Interval,
    Text,
    UnstorableValue,
    Value,
)
from sagemaker_container.contract.json_file import read_object
from sagemaker_container.contract.suggestions import unknown_name

# The keys of the built-in's default configuration, as its log prints them.
_BUILTIN_ORDER = (
    *("epochs", "mini_batch_size", "use_bias", "use_linear"),
    *("bias_lr", "linear_lr", "factors_lr", "bias_wd", "linear_wd", "factors_wd"),
    *("bias_init_method", "bias_init_sigma", "linear_init_method", "linear_init_sigma"),
    *("factors_init_method", "factors_init_sigma", "batch_metrics_publish_interval"),
    *("_data_format", "_kvstore", "_learning_rate", "_log_level", "_num_gpus", "_num_kv_servers"),
    *("_optimizer", "_tuning_objective_metric", "_use_full_symbolic", "_wd"),
)
LARGEST_FEATURE_DIM = 2**31 - 1  # keys are stored as int32
TERMS = ("bias", "linear", "factors")


def _term(name: str, lr: str, wd: str, sigma: str) -> tuple[Hyperparameter, ...]:
    """Return the hyperparameters that `bias`, `linear` and `factors` all have."""
    return (
        Continuous(f"{name}_lr", "learning rate", lr, low=0.0, tunable=True),
        Continuous(f"{name}_wd", "weight decay", wd, low=0.0, tunable=True),
        Categorical(
            f"{name}_init_method",
            "distribution of the initial values",
            "normal",
            ("normal", "uniform", "constant"),
        ),
        Continuous(
            f"{name}_init_sigma", "standard deviation, normal", sigma, low=0.0, tunable=True
        ),
        Continuous(
            f"{name}_init_scale", "range is [-scale, scale], uniform", None, low=0.0, tunable=True
        ),
        Continuous(f"{name}_init_value", "initial value, constant", None, tunable=True),
    )


TABLE: tuple[Hyperparameter, ...] = (
    Integer(
        "feature_dim",
        "dimension of the feature space; every key is smaller",
        None,
        low=1,
        high=LARGEST_FEATURE_DIM,
        required=True,
    ),
    Integer("num_factors", "dimension of the factorization", None, low=1, required=True),
    Categorical(
        "predictor_type",
        "what is predicted",
        None,
        ("binary_classifier", "regressor"),
        required=True,
    ),
    Integer("epochs", "passes over the training data", "1", low=1, tunable=True),
    Integer("mini_batch_size", "rows of a mini-batch", "1000", low=1, high=2**31 - 1, tunable=True),
    *_term("bias", lr="0.1", wd="0.01", sigma="0.01"),
    *_term("linear", lr="0.001", wd="0.001", sigma="0.01"),
    *_term("factors", lr="0.0001", wd="0.00001", sigma="0.001"),
    Continuous("clip_gradient", "clips each gradient to [-x, x]", None, low=0.0, low_open=True),
    Continuous("eps", "Adam's epsilon; 1e-8 where it is not set", None, low=0.0, low_open=True),
    Continuous(
        "rescale_grad",
        "factor of each gradient; 1 / mini_batch_size where it is not set",
        None,
        low=0.0,
        low_open=True,
    ),
    Boolean("use_bias", "whether there is a bias", "true"),
    Boolean("use_linear", "whether there are linear weights", "true"),
    Integer("batch_metrics_publish_interval", "batches between metric lines", "500", low=1),
    Categorical("_optimizer", "update rule; adam is the built-in's", "adam", tuple(OPTIMIZERS)),
    # The next three have no effect on the result.
    Categorical(
        "_kvstore",
        "without effect on one host",
        "auto",
        ("auto", "local", "device", "nccl", "dist", "dist_sync", "dist_device_sync"),
    ),
    Text("_num_gpus", "without effect: `_device` chooses the CPU or a GPU", "auto"),
    Text("_num_kv_servers", "without effect on one host", "auto"),
    Categorical(
        "_log_level", "least level of the log", "info", ("debug", "info", "warning", "error")
    ),
    Text("_tuning_objective_metric", "named by a tuning job; without effect here", ""),
    Categorical("_data_format", "format of the records", "record", ("record",)),
    Categorical("_learning_rate", "scale of all learning rates", "1.0", ("1.0", "1")),
    Categorical("_wd", "scale of all weight decays", "1.0", ("1.0", "1")),
    Boolean("_use_full_symbolic", "without effect: the result is the same", "true"),
    Integer(
        "_seed",
        "ours: seed of the initial values, and of the orders that `_shuffle` draws; 0 gives the "
        "initial values of the service",
        "0",
        low=0,
        high=2**32 - 1,
    ),
    Categorical(
        "_draw_order",
        "ours: order in which initial values are drawn; 'w,w0,v' is that of the service's "
        "containers of 2021",
        "v,w0,w",
        ("v,w0,w", "w,w0,v"),
    ),
    Boolean(
        "_shuffle",
        "ours: whether each epoch takes the mini-batches in another order; for channels in memory",
        "false",
    ),
    Categorical(
        "_engine", "ours: what runs the training steps", "auto", ("auto", "numba", "torch")
    ),
    Categorical("_device", "ours: where the torch engine runs", "cpu", ("cpu", "cuda")),
    Integer("_num_threads", "ours: threads of the numba engine", "1", low=1, high=1024),
    Integer(
        "_memory_budget_mb",
        "ours: MB of memory for decoded channels; a larger one is streamed in each epoch; "
        "0 is half of what the memory limit leaves beside the model",
        "0",
        low=0,
        high=1 << 40,
    ),
    Boolean(
        "_grow",
        "ours: whether the model that training starts from may have fewer features",
        "false",
    ),
    Integer(
        "_early_stopping_patience",
        "ours: epochs without a better test loss until training ends; 0 is never",
        "0",
        low=0,
    ),
    Integer(
        "_host_timeout",
        "ours: seconds that the hosts of a job wait for one another",
        "300",
        low=1,
        high=86400,
    ),
    Interval("_checkpoint_interval", "ours: how often a checkpoint is written", "60s"),
)
BY_NAME: Mapping[str, Hyperparameter] = {row.name: row for row in TABLE}


class Hyperparameters:
    """Checked values by name; the caller uses the accessor of the type in the table."""

    def __init__(self, values: Mapping[str, Value], texts: Mapping[str, str]):
        self._values = dict(values)
        self.texts = dict(texts)
        """The defaults, overridden by the job's own values, as strings."""

    @property
    def values(self) -> dict[str, Value]:
        """Return all values by name; None for those that are not set."""
        return dict(self._values)

    def integer(self, name: str) -> int:
        """Return the value of an Integer."""
        value = self._values[name]
        assert isinstance(value, int) and not isinstance(value, bool), name  # noqa: S101
        return value

    def real(self, name: str) -> float:
        """Return the value of a Continuous that has a default."""
        value = self._values[name]
        assert isinstance(value, float), name  # noqa: S101
        return value

    def optional_real(self, name: str) -> float | None:
        """Return the value of a Continuous; None if it is not set."""
        return None if self._values[name] is None else self.real(name)

    def text(self, name: str) -> str:
        """Return the value of a Categorical, Interval or Text."""
        value = self._values[name]
        assert isinstance(value, str), name  # noqa: S101
        return value

    def flag(self, name: str) -> bool:
        """Return the value of a Boolean."""
        value = self._values[name]
        assert isinstance(value, bool), name  # noqa: S101
        return value


def _check_init_methods(values: Mapping[str, Value]) -> Iterator[str]:
    """Yield a problem for each term whose init method lacks the value it needs."""
    for term in TERMS:
        for method, suffix in (("uniform", "scale"), ("constant", "value")):
            name = f"{term}_init_{suffix}"
            if values[f"{term}_init_method"] == method and values[name] is None:
                yield f"{name} is required when {term}_init_method is '{method}'"


def _check_device(values: Mapping[str, Value]) -> Iterator[str]:
    """Yield a problem if the requested engine does not run on the requested device."""
    if values["_device"] != "cpu" and values["_engine"] == "numba":
        yield "_device must be 'cpu' with _engine 'numba'; _engine 'torch' runs on others"


CROSS_FIELD_RULES: tuple[Callable[[Mapping[str, Value]], Iterator[str]], ...] = (
    _check_init_methods,
    _check_device,
)


def defaults() -> dict[str, str]:
    """Return the defaults of the table, as strings."""
    return {row.name: row.default for row in TABLE if row.default is not None}


def builtin_defaults() -> dict[str, str]:
    """Return the defaults of the built-in's own hyperparameters, in the order of its log."""
    values = defaults()
    return {name: values[name] for name in _BUILTIN_ORDER}


def read(path: Path) -> dict[str, str]:
    """Return a job's own hyperparameters as strings, from hyperparameters.json.

    The service writes every value as a string; a number or boolean in a hand-written file is
    converted to its JSON text.

    Raises: ConfigurationError if the file is missing, not JSON, or not an object of plain values.
    """
    texts: dict[str, str] = {}
    for name, value in read_object(path).items():
        if isinstance(value, str):
            texts[name] = value
        elif isinstance(value, bool | int | float):
            texts[name] = json.dumps(value)
        else:
            raise ConfigurationError(
                f"{path}: the value of {name!r} must be a string; got {json.dumps(value)}"
            )
    return texts


def check(raw: Mapping[str, str], others: Callable[[], Sequence[str]] = tuple) -> Hyperparameters:
    """Return the checked values of a job: the defaults, overridden by `raw`.

    Args:
        raw: the job's own values.
        others: returns other problems of the job; they are in the error too, if there is one.

    Raises: HyperparameterError with all problems, one per line: unknown names with the names that
        may be meant, missing required ones, values of the wrong type or range, cross-field rules.
    """
    problems = [unknown_name(name, BY_NAME) for name in raw if name not in BY_NAME]
    texts = {**defaults(), **raw}
    values: dict[str, Value] = {}
    for row in TABLE:
        text = texts.get(row.name)
        values[row.name] = None
        if text is None:
            if row.required:
                problems.append(f"{row.name} is required: {row.allowed()}")
            continue
        try:
            values[row.name] = row.parse(text)
        except ValueError as error:
            allowed = error if isinstance(error, UnstorableValue) else row.allowed()
            problems.append(f"{row.name} must be {allowed}; got {text[:80]!r}")
    if len(json.dumps(texts)) > LARGEST_JSON // 2:  # they become a part of the artifact's JSON
        name = max(texts, key=lambda name: len(texts[name]))
        problems.append(f"{name} is too long: all may have {LARGEST_JSON // 2} bytes together")
    if not problems:
        problems = [problem for rule in CROSS_FIELD_RULES for problem in rule(values)]
    if problems:
        problems += others()
        if len(problems) > 1:
            problems.insert(0, f"{len(problems)} problems")
        raise HyperparameterError("\n".join(problems))
    return Hyperparameters(values, texts)
