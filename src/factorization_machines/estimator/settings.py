"""The parameters of the estimators: defaults, allowed values, documentation, configuration."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from typing import Any

from factorization_machines.config import ADAM_EPSILON, Term, TrainingConfig
from factorization_machines.optimizers import OPTIMIZERS

TERMS = ("bias", "linear", "factors")


@dataclass(frozen=True)
class Allowed:
    """The allowed values of a parameter, in words and as a test."""

    words: str
    test: Callable[[Any], bool]

    def or_none(self) -> "Allowed":
        """Return the same with None."""
        return Allowed(f"{self.words}, or None", lambda value: value is None or self.test(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _choice(*values: Any) -> Allowed:
    words = " or ".join(map(repr, values))
    return Allowed(words, lambda value: any(value is v or value == v for v in values))


_COUNT = Allowed(
    "an integer >= 1",
    lambda value: isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1,
)
_NUMBER = Allowed("a number", _is_number)
_AMOUNT = Allowed("a number >= 0", lambda value: _is_number(value) and value >= 0)
_POSITIVE = Allowed("a number > 0", lambda value: _is_number(value) and value > 0)
_SHARE = Allowed("a number between 0 and 1", lambda value: _is_number(value) and 0 < value < 1)
_FLAG = Allowed("True or False", lambda value: isinstance(value, bool) or value in (0, 1))
_ANYTHING = Allowed("anything", lambda value: True)  # scikit-learn checks it


def _parameter(default: Any, allowed: Allowed, text: str) -> Any:
    return field(default=default, metadata={"allowed": allowed, "text": text})


def _term(name: str, lr: float, wd: float, sigma: float) -> tuple[Any, ...]:
    """Return the parameters that each term of the score has."""
    method = _choice("normal", "uniform", "constant")
    return (
        _parameter(lr, _AMOUNT, f"learning rate of the {name}"),
        _parameter(wd, _AMOUNT, f"weight decay of the {name}, added to the gradient"),
        _parameter("normal", method, f"distribution of the initial {name}"),
        _parameter(sigma, _AMOUNT, "standard deviation, if normal"),
        _parameter(None, _AMOUNT.or_none(), "the range is [-scale, scale], if uniform"),
        _parameter(None, _NUMBER.or_none(), "the value, if constant"),
    )


_BIAS = _term("bias", lr=0.1, wd=0.0, sigma=0.0)
_LINEAR = _term("linear weights", lr=0.09, wd=0.00005, sigma=0.0)
_FACTORS = _term("factors", lr=0.012, wd=0.00012, sigma=0.01)


@dataclass(kw_only=True, eq=False, repr=False)
class Settings:
    """The parameters of an estimator; names that the built-in algorithm has mean the same here."""

    num_factors: int = _parameter(128, _COUNT, "dimension of the factors")
    epochs: int = _parameter(30, _COUNT, "passes over the rows, or their largest number")
    mini_batch_size: int = _parameter(128, _COUNT, "rows of a mini-batch")
    optimizer: str = _parameter("adagrad", _choice(*OPTIMIZERS), "update rule")
    use_bias: bool = _parameter(True, _FLAG, "whether there is a bias")
    use_linear: bool = _parameter(True, _FLAG, "whether there are linear weights")
    bias_lr: float = _BIAS[0]
    bias_wd: float = _BIAS[1]
    bias_init_method: str = _BIAS[2]
    bias_init_sigma: float = _BIAS[3]
    bias_init_scale: float | None = _BIAS[4]
    bias_init_value: float | None = _BIAS[5]
    linear_lr: float = _LINEAR[0]
    linear_wd: float = _LINEAR[1]
    linear_init_method: str = _LINEAR[2]
    linear_init_sigma: float = _LINEAR[3]
    linear_init_scale: float | None = _LINEAR[4]
    linear_init_value: float | None = _LINEAR[5]
    factors_lr: float = _FACTORS[0]
    factors_wd: float = _FACTORS[1]
    factors_init_method: str = _FACTORS[2]
    factors_init_sigma: float = _FACTORS[3]
    factors_init_scale: float | None = _FACTORS[4]
    factors_init_value: float | None = _FACTORS[5]
    clip_gradient: float | None = _parameter(
        None, _POSITIVE.or_none(), "clips each gradient to [-x, x]"
    )
    eps: float | None = _parameter(
        None, _POSITIVE.or_none(), "epsilon of adam and adagrad; None is 1e-8"
    )
    rescale_grad: float | None = _parameter(
        None, _POSITIVE.or_none(), "factor of each gradient; None is 1 / rows of a mini-batch"
    )
    fill_batches: bool = _parameter(
        False, _FLAG, "whether empty rows of label 0 fill up the last mini-batch of an epoch"
    )
    standardize_target: bool = _parameter(
        True,
        _FLAG,
        "whether a regressor trains on labels of mean 0 and deviation 1; the fitted parameters are "
        "in units of the labels either way",
    )
    shuffle: bool = _parameter(
        True, _FLAG, "whether rows are shuffled, and the mini-batches again in each epoch"
    )
    early_stopping: bool | str = _parameter(
        "auto",
        _choice("auto", True, False),
        "whether to stop when the loss of validation rows is no longer lower, and to keep the best "
        "epoch; 'auto' is yes with an `eval_set`, or with more than 10,000 rows",
    )
    validation_fraction: float = _parameter(
        0.1, _SHARE, "fraction of the rows that early stopping holds out without an `eval_set`"
    )
    n_iter_no_change: int = _parameter(
        3, _COUNT, "epochs without a lower validation loss after which training stops"
    )
    refit: bool = _parameter(
        True,
        _FLAG,
        "whether to train again, on all rows and for as many epochs as the best one, where early "
        "stopping held rows out",
    )
    warm_start: bool = _parameter(
        False, _FLAG, "whether `fit` continues from the last `fit`, with its optimizer state"
    )
    random_state: Any = _parameter(
        None,
        _ANYTHING,
        "seed of initial values and orders: an integer, a RandomState, or None; 0 gives the "
        "initial values of the built-in algorithm",
    )
    n_threads: int = _parameter(1, _COUNT, "threads; the result does not depend on their number")
    verbose: bool = _parameter(
        False, Allowed("an integer >= 0", lambda v: isinstance(v, Integral) and int(v) >= 0),
        "whether to show a progress bar",
    )  # fmt: skip

    def check_settings(self) -> None:
        """Check the values. Raises: ValueError with the name, the allowed values and the value."""
        for item in fields(Settings):
            value, allowed = getattr(self, item.name), item.metadata["allowed"]
            if not allowed.test(value):
                raise ValueError(f"{item.name} must be {allowed.words}; got {value!r:.80}")
        for term in TERMS:
            method = getattr(self, f"{term}_init_method")
            suffix = {"uniform": "scale", "constant": "value"}.get(method)
            if suffix and getattr(self, f"{term}_init_{suffix}") is None:
                raise ValueError(f"{term}_init_{suffix} is required with the method {method!r}")

    def training_config(
        self, feature_dim: int, classifier: bool, rows: int, seed: int
    ) -> TrainingConfig:
        """Return the configuration of a run over some rows, without early stopping."""
        size = self.mini_batch_size if self.fill_batches else min(self.mini_batch_size, rows)

        def term(name: str) -> Term:
            values = ("lr", "wd", "init_method", "init_sigma", "init_scale", "init_value")
            return Term(*(getattr(self, f"{name}_{value}") for value in values))

        return TrainingConfig(
            feature_dim=feature_dim,
            num_factors=self.num_factors,
            classifier=classifier,
            bias=term("bias"),
            linear=term("linear"),
            factors=term("factors"),
            epochs=self.epochs,
            mini_batch_size=size,
            use_bias=bool(self.use_bias),
            use_linear=bool(self.use_linear),
            clip_gradient=self.clip_gradient,
            eps=self.eps or ADAM_EPSILON,
            rescale_grad=self.rescale_grad,
            seed=seed,
            publish_interval=1 << 40,
            optimizer=self.optimizer,
            shuffle=bool(self.shuffle),
            fill_batches=bool(self.fill_batches),
        )


SAGEMAKER: Mapping[str, Any] = {
    "epochs": 1,
    "mini_batch_size": 1000,
    "optimizer": "adam",
    "bias_lr": 0.1,
    "bias_wd": 0.01,
    "bias_init_sigma": 0.01,
    "linear_lr": 0.001,
    "linear_wd": 0.001,
    "linear_init_sigma": 0.01,
    "factors_lr": 0.0001,
    "factors_wd": 0.00001,
    "factors_init_sigma": 0.001,
    "fill_batches": True,
    "standardize_target": False,
    "shuffle": False,
    "early_stopping": False,
    "random_state": 0,
}
"""What the built-in algorithm does, where the defaults of the estimators differ."""

# Parameters that the built-in does not have, by their names in the container's hyperparameters.
_RENAMED = {"optimizer": "_optimizer", "random_state": "_seed"}
_OURS = {
    *("fill_batches", "standardize_target", "shuffle", "early_stopping", "validation_fraction"),
    *("n_iter_no_change", "refit", "warm_start", "n_threads", "verbose"),
}


def plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that JSON can hold: without a RandomState, and of Python's types."""
    plain = {name: getattr(value, "item", lambda v=value: v)() for name, value in values.items()}
    return {name: v for name, v in plain.items() if v is None or isinstance(v, str | int | float)}


def to_texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Return plain values as the container's hyperparameters, without those that it lacks."""
    return {
        _RENAMED.get(name, name): value if isinstance(value, str) else json.dumps(value)
        for name, value in values.items()
        if value is not None and name not in _OURS
    }


def from_texts(texts: Mapping[str, str]) -> dict[str, Any]:
    """Return parameters from the container's hyperparameters; other names are left out.

    Raises: ValueError if a text is not a value of its parameter's type.
    """
    values: dict[str, Any] = {}
    for item in fields(Settings):
        text = texts.get(_RENAMED.get(item.name, item.name))
        if text is None or item.name in _OURS:
            continue
        if item.type is str:
            values[item.name] = text
        elif item.type is bool:
            values[item.name] = text.lower() == "true"
        else:
            whole = isinstance(item.default, int) or item.name == "random_state"
            values[item.name] = int(text) if whole else float(text)
    return values


def documentation() -> str:
    """Return the section "Parameters" of the estimators' docstrings, in scikit-learn's form."""
    lines = ["", "    Parameters", "    ----------"]
    for item in fields(Settings):
        words = item.metadata["allowed"].words
        lines += [f"    {item.name} : {words}, default={item.default!r}"]
        lines += [f"        {item.metadata['text']}", ""]
    return "\n".join(lines)
