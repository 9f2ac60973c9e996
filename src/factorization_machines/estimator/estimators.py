"""The classifier, the regressor, and their artifacts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted

from factorization_machines import __version__, artifact
from factorization_machines.errors import ArtifactError
from factorization_machines.estimator.base import BaseFactorizationMachine
from factorization_machines.estimator.settings import (
    SAGEMAKER,
    documentation,
    from_texts,
    plain_values,
    to_texts,
)
from factorization_machines.estimator.training import Rows, Units
from factorization_machines.parameters import Float32

if TYPE_CHECKING:
    from typing_extensions import Self  # typing has it from Python 3.11

_NOTE = "estimator"  # the entry of the artifact's meta.json


class FactorizationMachineEstimator(BaseFactorizationMachine):
    """Base class of the estimators: `sagemaker`, `load` and `save`."""

    @classmethod
    def sagemaker(cls, **parameters: Any) -> Self:
        """Return an estimator with the defaults of SageMaker's built-in algorithm.

        `fit` then gives the parameters that the container's `train` gives for the same
        hyperparameters, bit for bit: rows in their order, the built-in's initial values, Adam, and
        a last mini-batch that is filled up with empty rows. On FactorizationMachineEstimator
        itself, `predictor_type` is 'binary_classifier' or 'regressor'.
        """
        kind = _estimator(parameters.pop("predictor_type", cls.predictor_type), cls)
        estimator: Self = kind(**{**SAGEMAKER, **parameters})
        return estimator

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return a fitted estimator from an artifact of `save`, of the container or of SageMaker.

        Args:
            path: a model.tar.gz, a model_algo-1, or a folder with one of them.

        Raises: ArtifactError if there is none, it is damaged, or it is of the other estimator.
        """
        model = artifact.read(Path(path))
        note = artifact.json_object(model.notes.get(_NOTE, "{}"), _NOTE)
        try:
            kind = _estimator(model.predictor_type, cls)
            texts = model.training_parameters
            given = note.get("parameters", {**SAGEMAKER, **from_texts(texts)})
            estimator: Self = kind(**given)
            estimator.check_settings()
            if isinstance(estimator, FactorizationMachineClassifier):
                estimator._learn_classes(np.array(note.get("classes", [0, 1])))
        except (TypeError, ValueError) as error:
            raise ArtifactError(f"{path}: {error}") from None
        estimator._set_parameters(model.parameters)
        estimator.n_features_in_ = model.parameters.feature_dim
        return estimator

    def save(self, path: str | Path) -> Path:
        """Write the model as the artifact of the built-in algorithm, and return its path.

        Args:
            path: a folder, which receives a model_algo-1, or a file that ends in .tar.gz, which
                SageMaker deploys.

        Raises: NotFittedError; TypeError if the classes are neither numbers nor strings;
            PlatformError if it cannot be written.
        """
        check_is_fitted(self)
        plain = plain_values(self.get_params())
        note: dict[str, Any] = {"parameters": plain}
        if isinstance(self, FactorizationMachineClassifier):
            note["classes"] = self.classes_.tolist()
        notes = {"trained_by": f"local-factorization-machines {__version__}"}
        notes[_NOTE] = json.dumps(note)
        return artifact.save(Path(path), self._model(to_texts(plain), notes))


class FactorizationMachineClassifier(ClassifierMixin, FactorizationMachineEstimator):  # type: ignore[misc]
    """Binary classifier that minimizes the logistic loss of a second-order factorization machine.

    More than two classes: sklearn.multiclass.OneVsRestClassifier.

    Attributes: `classes_` (2,), `intercept_` (1,), `coef_` (d,) linear weights, `factors_`
    (d, num_factors), `n_iter_` epochs that the last call trained the parameters for,
    `validation_losses_` cross-entropy of the validation rows after each epoch of early stopping,
    `n_features_in_`, `feature_names_in_`.
    """

    predictor_type = "binary_classifier"

    def fit(self, X: Any, y: Any, sample_weight: Any = None, eval_set: Any = None) -> Self:
        """Train on rows.

        Args:
            X: (n, d) features: an array, a sparse matrix or array, or a pandas DataFrame.
            y: (n,) labels of two classes; the greater one is the positive class.
            sample_weight: (n,) factors of the rows' losses, relative to their mean. Rows of weight
                0 are left out.
            eval_set: `(X, y)` or `(X, y, sample_weight)` for early stopping, instead of a fraction
                of the rows.

        Raises: ValueError if rows or parameters cannot be used; DivergedError if a loss or a
            parameter becomes NaN or infinite.
        """
        if not self._continues(one_epoch=False):
            self.__dict__.pop("classes_", None)
        self._train(X, y, sample_weight, eval_set)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train for one epoch on rows, after the epochs so far; see `fit`.

        `classes` are the two classes; the first call needs them. Weights are not divided by their
        mean here, because each call sees only a part of the rows.
        """
        if not hasattr(self, "classes_"):
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit")
            self._learn_classes(classes)
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(f"classes must be {self.classes_}, as before; got {classes}")
        self._train(X, y, sample_weight, one_epoch=True)
        return self

    def decision_function(self, X: Any) -> Float32:
        """Return the log-odds of the positive class, (n,) float32."""
        return self._scores(X)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probabilities of both classes, (n, 2)."""
        positive = expit(self._scores(X).astype(np.float64))
        return np.column_stack([1 - positive, positive])

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the more probable class of each row, (n,)."""
        positive = self._scores(X) > 0
        classes: NDArray[Any] = self.classes_[positive.astype(np.intp)]
        return classes

    def _learn_classes(self, y: Any) -> None:
        classes = np.unique(y)  # has the type of y, and far fewer values to check
        check_classification_targets(classes)
        kind = type_of_target(classes, input_name="y", raise_unknown=True)
        if kind != "binary":
            raise ValueError(
                f"Only binary classification is supported. The type of the target is {kind}."
            )
        if classes.size < 2:
            raise ValueError(f"y must have two classes; got one class: {classes[0]!r}")
        self.classes_ = classes

    def _encoded(self, y: Any) -> NDArray[np.float64]:
        if not hasattr(self, "classes_"):
            self._learn_classes(y)
        positive: NDArray[np.bool_] = y == self.classes_[1]
        known = positive | (y == self.classes_[0])
        if not known.all():
            unknown = np.unique(y[~known])
            raise ValueError(f"y has labels that are not in classes_ {self.classes_}: {unknown}")
        return positive.astype(np.float64)

    def _units(self, rows: Rows) -> Units:
        return Units()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


class FactorizationMachineRegressor(RegressorMixin, FactorizationMachineEstimator):  # type: ignore[misc]
    """Regressor that minimizes the squared error of a second-order factorization machine.

    Attributes: `intercept_` (1,), `coef_` (d,) linear weights, `factors_` (d, num_factors),
    `n_iter_` epochs that the last call trained the parameters for, `validation_losses_` root mean
    square error of the validation rows after each epoch of early stopping, `n_features_in_`,
    `feature_names_in_`.
    """

    predictor_type = "regressor"

    def fit(self, X: Any, y: Any, sample_weight: Any = None, eval_set: Any = None) -> Self:
        """Train on rows; `y` (n,) are numbers. See `FactorizationMachineClassifier.fit`."""
        self._train(X, y, sample_weight, eval_set)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one epoch on rows, after the epochs so far.

        The first call determines the units that `standardize_target` trains in. Weights are not
        divided by their mean here, because each call sees only a part of the rows.
        """
        self._train(X, y, sample_weight, one_epoch=True)
        return self

    def predict(self, X: Any) -> Float32:
        """Return the predicted labels, (n,) float32."""
        return self._scores(X)

    def _encoded(self, y: Any) -> NDArray[np.float64]:
        return np.asarray(y, np.float64)

    def _units(self, rows: Rows) -> Units:
        if not self.standardize_target:
            return Units()
        return Units.of(rows, centered=bool(self.use_bias))


def _estimator(predictor_type: str, base: type[Any]) -> type[Any]:
    """Return the estimator of a predictor type. Raises: ValueError if it is not of a class."""
    for estimator in (FactorizationMachineClassifier, FactorizationMachineRegressor):
        if estimator.predictor_type == predictor_type and issubclass(estimator, base):
            return estimator
    raise ValueError(f"{base.__name__} is not for the predictor_type {predictor_type!r}")


for _class in (FactorizationMachineClassifier, FactorizationMachineRegressor):
    _class.__doc__ = f"{_class.__doc__}{documentation()}"
