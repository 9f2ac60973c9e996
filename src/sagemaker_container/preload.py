"""Loads the code of `train` and `serve`, which processes that are forked from this one then have.

It is a module for Python's fork server, see `multiprocessing.set_forkserver_preload`. It loads
nothing that starts a thread, and no module that reads the settings of one command when it is
imported.
"""

import ctypes
import gc
import importlib
import os
import signal

_MODULES = (
    "factorization_machines.module",
    "factorization_machines.engines.fused",
    "sagemaker_container.cli",
    "sagemaker_container.training.job",
    "sagemaker_container.serving.loading",
    "sagemaker_container.serving.worker",
    "gunicorn.app.wsgiapp",
    "gunicorn.arbiter",
)

# Until the fork server runs, it does not notice the end of the thread that started it.
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)
_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
os.setsid()  # a terminal's signals are for the process that started this one, which ends it
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as in `train` and `serve`; others would be threads
gc.disable()
for _name in _MODULES:
    importlib.import_module(_name)
gc.enable()
gc.freeze()  # a collection in a forked process would copy the memory of these objects
_libc.prctl(_PR_SET_PDEATHSIG, 0)
