"""SageMaker's operations by name: checked, run, and answered in the shape that botocore knows."""

import re
from collections.abc import Callable
from typing import Any

from local_sagemaker.api import validation
from local_sagemaker.api.hosting import HostingApi
from local_sagemaker.api.tags import Tags
from local_sagemaker.api.training import TrainingApi
from local_sagemaker.api.transform import TransformApi
from local_sagemaker.api.tuning import TuningApi
from local_sagemaker.context import Caller, Context
from local_sagemaker.hosting.endpoints import Endpoints
from local_sagemaker.storage.records import Record

Operation = Callable[[Record, Caller], Record]
_KINDS = (
    *("training-job", "model", "endpoint-config", "endpoint"),
    *("transform-job", "hyper-parameter-tuning-job"),
)


class Api:
    """The operations that this service answers itself; all others are moto's."""

    def __init__(self, context: Context, endpoints: Endpoints):
        """Gather them."""
        self._tags = Tags(context, _KINDS)
        self.training = TrainingApi(context)
        hosting, transform = HostingApi(context, endpoints), TransformApi(context)
        tuning = TuningApi(context, self.training)
        parts: list[Any] = [self.training, hosting, transform, tuning, self._tags]
        self._operations: dict[str, Operation] = {}
        for name in validation.model().operation_names:
            method = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
            for part in parts:
                if hasattr(part, method):
                    self._operations[name] = getattr(part, method)

    def has(self, operation: str, request: Record) -> bool:
        """Return whether a request is answered here."""
        if operation in ("AddTags", "ListTags", "DeleteTags"):
            return self._tags.is_ours(request)
        return operation in self._operations

    def call(self, operation: str, request: Record, caller: Caller) -> Record:
        """Return the answer to a request.

        Raises: ServiceError.
        """
        validation.check(operation, request)
        answer = self._operations[operation](request, caller)
        return validation.answer(operation, answer)
