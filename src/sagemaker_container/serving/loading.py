"""Loads the model in a thread of gunicorn's master process, before or while workers run.

Workers share the memory of a model that was loaded before they were forked. So a model that takes
longer is served by new workers: the first ones only respond that it is being loaded.
"""

import gc
import os
import signal
import threading
import time
import traceback

from flask import Flask

from factorization_machines import artifact
from factorization_machines.errors import (
    AlgorithmError,
    FactorizationMachinesError,
    PlatformError,
)
from factorization_machines.scoring import Predictor
from sagemaker_container.contract.paths import OptMl
from sagemaker_container.serving.app import create_app
from sagemaker_container.serving.errors import Loading, http_status
from sagemaker_container.serving.request_log import log
from sagemaker_container.serving.settings import Settings

# Seconds until workers are forked without the model. Most models are loaded in a tenth of it.
_WAIT = 0.3
_LOADING = Loading("the model is being loaded")
# Objects that may be created before a garbage collection. A request of 1,000 rows creates 6,000,
# none of them in a cycle; with Python's threshold of 700, collections take a tenth of its time.
_COLLECTION_THRESHOLD = 50_000


def load(paths: OptMl) -> Predictor | FactorizationMachinesError:
    """Return the predictor of the model under /opt/ml/model, or the error of loading it."""
    try:
        return Predictor(artifact.read(paths.model))
    except FactorizationMachinesError as error:
        return error
    except MemoryError:
        return PlatformError("not enough memory for the model")
    except Exception as error:  # the thread ends here: the endpoint must say what happened
        log(traceback.format_exc())
        return AlgorithmError(f"{type(error).__name__}: {error}")


def create_loading_app(paths: OptMl) -> Flask:
    """Return the application of the model under /opt/ml, which a thread loads.

    Returns once the model is loaded, or after _WAIT. Until then the predictor is _LOADING.
    """
    settings = Settings.from_environment()
    app = create_app(_LOADING, settings)
    thread = threading.Thread(target=_load_into, args=(app, paths, settings), daemon=True)
    thread.start()
    thread.join(_WAIT)
    app.extensions["model_loading"] = thread
    return app


def reload_when_loaded(app: Flask) -> None:
    """Replace gunicorn's workers, all at once, when the model is loaded.

    To be called in gunicorn's hook `when_ready`: its signal handlers are installed then, and no
    worker is forked yet. Does nothing if the model is loaded already.
    """
    thread: threading.Thread = app.extensions["model_loading"]

    def reload() -> None:
        thread.join()
        os.kill(os.getpid(), signal.SIGHUP)

    if app.config["PREDICTOR"] is _LOADING:
        threading.Thread(target=reload, daemon=True).start()


def _load_into(app: Flask, paths: OptMl, settings: Settings) -> None:
    began = time.perf_counter()
    predictor = load(paths)
    seconds = time.perf_counter() - began
    if isinstance(predictor, FactorizationMachinesError):
        status = http_status(predictor)
        log(f"no model to serve; /ping will answer {status}: {predictor.failure_text()}")
    else:
        kind = "binary_classifier" if predictor.classifier else "regressor"
        log(
            f"serving a {kind} of feature_dim {predictor.feature_dim} and num_factors "
            f"{predictor.num_factors} on {settings.host}:{settings.port} with {settings.workers} "
            f"workers, loaded in {seconds:.2f} s"
        )
    # Workers share these objects with the parent as long as no garbage collection writes to them.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECTION_THRESHOLD)
    app.config["PREDICTOR"] = predictor
