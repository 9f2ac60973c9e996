"""The commands `train`, `serve`, `fm-model`: the only place that catches everything, and exits."""

import gc
import os
import signal
import sys
import traceback
from typing import NoReturn

from factorization_machines.errors import (
    AlgorithmError,
    DivergedError,
    FactorizationMachinesError,
    PlatformError,
)
from sagemaker_container.contract import failure
from sagemaker_container.contract.errors import exit_code
from sagemaker_container.contract.paths import OptMl
from sagemaker_container.stop_signal import STOPPED, Stopped, StopSignal

# What a job loads; an environment that only serves may be without them.
_PACKAGES = ("llvmlite", "numba", "scipy", "torch", "tqdm")


def train(stop: StopSignal | None = None) -> NoReturn:
    """Run the job under /opt/ml and exit: 0 done, 1 ours, 2 the caller's, 3 the platform's.

    A job that was stopped by a signal exits with 143, after it saved its model. `stop`: handlers
    that are already installed.
    """
    code = 1
    paths = OptMl.from_environment()
    try:
        stop = stop or StopSignal()
        # The kernels need no threads of OpenBLAS, which raises SIGINT if it cannot start them.
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        # Imports create objects that stay: collections among them take a fifth of the time.
        gc.disable()
        # Imported after the handlers are installed, because the import takes a second.
        from sagemaker_container.training.job import train as run

        finished = run(paths, stop)
        if not finished:
            _print_error("stopped by a signal; the model as far as it was trained is saved")
        code = 0 if finished else STOPPED
    except Stopped:
        _print_error("stopped by a signal before training began; there is no model")
        code = STOPPED
    except BaseException as error:  # any error ends in the failure file and the exit code
        code = _fail(paths, error)
    _leave(code)


def _fail(paths: OptMl, error: BaseException) -> int:
    """Tell the service and the log why the job failed; return the exit code."""
    known = _known(error)
    if isinstance(known, AlgorithmError) and not isinstance(known, DivergedError):
        # A defect of this package: the trace goes to the log, and never into the failure text.
        _print_error("".join(traceback.format_exception(error)))
    _print_error(known.failure_text())
    problem = failure.write(paths.failure, known.failure_text())
    if problem:
        _print_error(problem)
    return exit_code(known)


def _known(error: BaseException) -> FactorizationMachinesError:
    """Return the error itself if it is one of this package, or the one that stands for it."""
    if isinstance(error, FactorizationMachinesError):
        return error
    if isinstance(error, MemoryError):
        return PlatformError(
            "not enough memory; use a smaller feature_dim, num_factors or mini_batch_size, "
            f"or a larger instance ({str(error) or 'no details'})"
        )
    if isinstance(error, ModuleNotFoundError) and error.name in _PACKAGES:
        remedy = "pip install local-factorization-machines installs what train needs"
        return PlatformError(f"the package {error.name} is not installed; {remedy}")
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return PlatformError("no thread can be started: the limit of processes is too low")
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return PlatformError(f"{where}{error.strerror}")
    return AlgorithmError(f"{type(error).__name__}: {error}")


def _print_error(text: str) -> None:
    try:
        print(text, file=sys.stderr, flush=True)  # noqa: T201
    except (OSError, ValueError):
        pass  # a closed standard error must not change the exit code


def _leave(code: int) -> NoReturn:
    """Exit with the code, even if buffered output cannot be written."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            # The reader is gone. Without this the interpreter flushes again and exits with 120.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    # The interpreter's last collections would visit all of torch's objects, which takes a while.
    gc.freeze()
    sys.exit(code)


def serve(
    config: str = "python:sagemaker_container.serving.gunicorn_config",
    application: str = "sagemaker_container.serving.wsgi:app",
) -> NoReturn:
    """Serve the model under /opt/ml/model with gunicorn until a signal ends it.

    Args:
        config: gunicorn's configuration, a file or `python:MODULE`.
        application: the WSGI application, as MODULE:NAME.
    """
    # Until gunicorn has its handlers there is no request to finish. container/serve is started with
    # these signals blocked.
    stop_signals = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
    for number in stop_signals:
        signal.signal(number, lambda *_: os._exit(0))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, stop_signals)
    # There is a worker for each core, so numpy's products may use no more than one thread each.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from sagemaker_container.serving.server import run

    try:
        run(config, application)
    except FactorizationMachinesError as error:
        _print_error(error.failure_text())
        sys.exit(exit_code(error))
    sys.exit(0)


def model() -> NoReturn:
    """Do what the command line asks of a model, and exit with the codes of `train`."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as for `train`
    from factorization_machines.export.cli import run

    code = 1
    try:
        run()
        code = 0
    except BrokenPipeError:
        pass  # the reader closed the pipe before all was printed: exit with 1
    except Exception as error:
        known = _known(error)
        if isinstance(known, AlgorithmError):
            _print_error("".join(traceback.format_exception(error)))
        _print_error(known.failure_text())
        code = exit_code(known)
    _leave(code)
