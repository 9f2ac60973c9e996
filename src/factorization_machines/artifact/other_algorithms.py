"""What else is called model_algo-1 or model.tar.gz: SageMaker's other algorithms."""

from collections.abc import Collection, Mapping
from typing import Any

# By a file that only this one leaves, in the archive or beside it.
_BY_FILE = {
    "mx-mod-symbol.json": "a linear learner",
    "mx-mod-0000.params": "a linear learner",
    "xgboost-model": "an XGBoost model",
    "model.joblib": "a scikit-learn model",
    "model.pth": "a PyTorch model",
    "saved_model.pb": "a TensorFlow model",
}


def of_names(names: Collection[str]) -> str:
    """Return what a folder or archive of such files seems to be, as the end of a sentence."""
    for name in names:
        if what := _BY_FILE.get(name.rpartition("/")[2]):
            return f" and seems to be {what}"
    return ""


def of_arrays(arrays: Mapping[str, Any]) -> str:
    """Return what an artifact of such arrays seems to be, as the end of a sentence."""
    names = {name.removeprefix("arg:") for name in arrays}
    shapes = [array.ndim for array in arrays.values()]
    what = ""
    if {"s", "v"} <= names:
        what = "a PCA model: singular values s, components v"
    elif names == {"0"} and shapes == [2]:
        what = "a k-means model: one array without a name, the cluster centres"
    elif names == {"0", "1"} and shapes == [1, 2]:
        what = "an LDA model: two arrays without names, alpha and beta"
    elif "projection_weight" in names:
        what = "a neural topic model: projection_weight"
    return f"; it seems to be {what}" if what else ""
