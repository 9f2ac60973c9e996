"""What moto's services have in memory, and what they run."""

import sys
from typing import Any

from moto.core.base_backend import BackendDict, backend_lock
from moto.core.model_instances import reset_model_data
from moto.s3.models import s3_backends

from local_sagemaker.storage.records import now


def clear() -> None:
    """Forget what all services have, for all accounts and regions, and stop what they run."""
    with backend_lock:
        _stop_stacks()
        _stop_executions()
        _stop_batch_jobs()
        for backends in BackendDict._instances:  # type: ignore[misc]
            for account in backends.values():
                account.clear()  # each region's backend is created anew when it is needed
        s3_backends.bucket_accounts.clear()
        reset_model_data()


def _stop_stacks() -> None:
    """Let the threads that complete stacks end, which would delete the resources of the stacks."""
    for backend in _backends("moto.cloudformation.models", "cloudformation_backends"):
        for stack in backend.stacks.values():
            stack.status = "DELETE_COMPLETE"


def _stop_executions() -> None:
    """Stop state machines, whose tasks would go on to create resources."""
    models = "moto.stepfunctions.parser.models"
    for backend in _backends(models, "stepfunctions_parser_backends"):
        for machine in backend.state_machines:
            for execution in machine.executions:
                execution.stop(now(), None, None)


def _stop_batch_jobs() -> None:
    """Stop Batch's jobs, whose containers would go on to run."""
    for backend in _backends("moto.batch.models", "batch_backends"):
        backend.reset()


def _backends(module: str, name: str) -> list[Any]:
    """Return the backends of a service, none if its module was not imported."""
    if module not in sys.modules:
        return []
    return [backend for _, _, backend in getattr(sys.modules[module], name).iter_backends()]
