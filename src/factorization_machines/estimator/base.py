"""What both estimators share: checked rows, training, and scores."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array, check_consistent_length, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from factorization_machines.artifact import Model
from factorization_machines.estimator.settings import Settings
from factorization_machines.estimator.training import Progress, Rows, RunOptions, Units, train
from factorization_machines.instances import Instances
from factorization_machines.parameters import Float32, Parameters
from factorization_machines.scoring import Predictor

# With more rows than this, early_stopping='auto' holds some out.
_MANY_ROWS = 10_000


class BaseFactorizationMachine(Settings, BaseEstimator):  # type: ignore[misc]
    """Checks rows, trains on them and scores them; a subclass knows the labels."""

    predictor_type = ""

    def _encoded(self, y: Any) -> NDArray[np.float64]:
        """Return the labels that training sees; sets what the subclass learns from them."""
        raise NotImplementedError

    def _units(self, rows: Rows) -> Units:
        """Return the units in which training sees the labels."""
        raise NotImplementedError

    def _train(
        self, X: Any, y: Any, sample_weight: Any, eval_set: Any = None, *, one_epoch: bool = False
    ) -> None:
        """Train on rows for an epoch of `partial_fit`, or as `fit` does."""
        self.check_settings()
        progress = None
        if self._continues(one_epoch):
            progress = getattr(self, "_progress", None)  # a loaded model has none
        rows = self._rows(X, y, sample_weight, reset=not self._continues(one_epoch))
        start = self._parameters() if self._continues(one_epoch) else None
        progress = progress or Progress(self._drawn_seed())
        if not one_epoch:
            rows = rows.of_mean_weight_1()
        if progress.units is None:
            progress = replace(progress, units=self._units(rows))
        config = self.training_config(
            rows.x.shape[1], self.predictor_type == "binary_classifier", len(rows), progress.seed
        )
        run = partial(
            train,
            start=start,
            progress=progress,
            options=RunOptions(self.n_threads, bool(self.verbose)),
        )
        losses: Sequence[float] = ()
        if one_epoch:
            trained = run(rows, None, replace(config, epochs=1))
        else:
            used, validation = self._split(rows, eval_set, progress.seed)
            patience = 0 if validation is None else self.n_iter_no_change
            trained = run(used, validation, replace(config, patience=patience))
            losses = trained.losses
            if self.refit and len(used) < len(rows):
                trained = run(rows, None, replace(config, epochs=1 + int(np.argmin(losses))))
        self._progress = trained.progress
        self._set_parameters(trained.parameters)
        self.n_iter_ = trained.epochs
        self.validation_losses_ = losses

    def _continues(self, one_epoch: bool) -> bool:
        """Return whether training continues from the fitted parameters."""
        if not hasattr(self, "factors_") or not (one_epoch or self.warm_start):
            return False
        if self.factors_.shape[1] != self.num_factors:
            raise ValueError(
                f"num_factors is {self.num_factors}, and the fitted model has "
                f"{self.factors_.shape[1]}, from which training would continue"
            )
        return True

    def _rows(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Rows:
        """Return checked rows without those of weight 0, and encode their labels."""
        X, y = validate_data(
            self,
            X,
            y,
            reset=reset,
            accept_sparse="csr",
            dtype=np.float32,
            y_numeric=self.predictor_type == "regressor",
        )
        x, weights = _csr(X), None
        if sample_weight is not None:
            weights = _checked_weights(sample_weight, y.shape[0])
            used = weights > 0
            if not used.all():
                x, y, weights = x[used], y[used], weights[used]
        return Rows(x, self._encoded(y), weights)

    def _split(self, rows: Rows, eval_set: Any, seed: int) -> tuple[Rows, Rows | None]:
        """Return rows to train on, and those for early stopping; None without it."""
        if eval_set is not None:
            if not self.early_stopping:
                raise ValueError("eval_set is for early stopping; got early_stopping=False")
            X, y, *weights = eval_set
            return rows, self._rows(X, y, weights[0] if weights else None, reset=False)
        if not (len(rows) > _MANY_ROWS if self.early_stopping == "auto" else self.early_stopping):
            return rows, None
        labels = rows.y if self.predictor_type == "binary_classifier" else None
        used, held_out = train_test_split(
            np.arange(len(rows)),
            test_size=self.validation_fraction,
            random_state=seed,
            stratify=labels,
        )
        return rows.take(used), rows.take(held_out)

    def _drawn_seed(self) -> int:
        if isinstance(self.random_state, Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _parameters(self) -> Parameters:
        return Parameters(self.intercept_, self.coef_, self.factors_)

    def _set_parameters(self, parameters: Parameters) -> None:
        self.intercept_, self.coef_ = parameters.w0, parameters.w
        self.factors_ = parameters.v

    def _model(self, training: dict[str, str], notes: dict[str, str]) -> Model:
        return Model(self._parameters(), {**training, "predictor_type": self.predictor_type}, notes)

    def _scores(self, X: Any) -> Float32:
        """Return the scores of rows, (n,): in units of the label, or log-odds."""
        check_is_fitted(self)
        x = _csr(validate_data(self, X, reset=False, accept_sparse="csr", dtype=np.float32))
        rows = Instances(x.indptr.astype(np.int64), x.indices.astype(np.int64), x.data)
        return Predictor(self._model({}, {})).score(rows)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _csr(X: Any) -> csr_array:
    """Return checked float32 features in canonical CSR form; X itself is not changed."""
    x = csr_array(X)
    if not x.has_canonical_format:
        x = x.copy()
        x.sum_duplicates()
    return x


def _checked_weights(sample_weight: Any, n: int) -> NDArray[np.float64]:
    """Return weights of rows, (n,). Raises: ValueError if they cannot be used."""
    weights: NDArray[np.float64] = check_array(
        sample_weight, dtype=np.float64, ensure_2d=False, input_name="sample_weight"
    )
    if weights.ndim != 1:
        raise ValueError(f"sample_weight must have the shape ({n},); got {weights.shape}")
    check_consistent_length(weights, np.empty(n))
    if (weights < 0).any() or not weights.any():
        raise ValueError("sample_weight must be >= 0, and not zero for every row")
    return weights
