"""Recognizes the artifacts of SageMaker's other algorithms, for error messages."""

from collections.abc import Collection, Mapping
from typing import Any

# By a file that only this algorithm writes.
_BY_FILE = {
    "mx-mod-symbol.json": "a linear learner",
    "mx-mod-0000.params": "a linear learner",
    "xgboost-model": "an XGBoost model",
    "model.joblib": "a scikit-learn model",
    "model.pth": "a PyTorch model",
    "saved_model.pb": "a TensorFlow model",
}


def of_names(names: Collection[str]) -> str:
    """Return what files with such names appear to be, as the end of a sentence."""
    for name in names:
        if model := _BY_FILE.get(name.rpartition("/")[2]):
            return f" and seems to be {model}"
    return ""


def of_arrays(arrays: Mapping[str, Any]) -> str:
    """Return what an artifact with such arrays appears to be, as the end of a sentence."""
    names = {name.removeprefix("arg:") for name in arrays}
    shapes = [array.ndim for array in arrays.values()]
    model = ""
    if {"s", "v"} <= names:
        model = "a PCA model: singular values s, components v"
    elif names == {"0"} and shapes == [2]:
        model = "a k-means model: one array without a name, the cluster centres"
    elif names == {"0", "1"} and shapes == [1, 2]:
        model = "an LDA model: two arrays without names, alpha and beta"
    elif "projection_weight" in names:
        model = "a neural topic model: projection_weight"
    return f"; it seems to be {model}" if model else ""
