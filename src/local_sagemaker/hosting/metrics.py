"""The metrics of endpoints in CloudWatch, under AWS/SageMaker."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from local_sagemaker.hosting.batches import Batches
from local_sagemaker.storage.metrics import publish
from local_sagemaker.storage.records import now

_NAMESPACE = "AWS/SageMaker"


@dataclass(frozen=True)
class Measured:
    """One invocation: the status of the response, and times in microseconds."""

    status: int
    model: float
    overhead: float
    instances: int  # of the variant


class EndpointMetrics:
    """Sends the metrics of invocations to CloudWatch, once a second for each variant."""

    def __init__(self) -> None:
        """Start with no invocation."""
        self._batches: Batches[tuple[str, str], Measured] = Batches(self._send)

    def add(self, endpoint: str, variant: str, measured: Measured) -> None:
        """Add an invocation."""
        self._batches.add((endpoint, variant), measured)

    def stop(self, deliver: bool) -> None:
        """Send the last metrics, or drop what they would hold."""
        self._batches.stop(deliver)

    def _send(self, key: tuple[str, str], batch: list[Measured]) -> None:
        publish(_NAMESPACE, metric_data(*key, batch))


def metric_data(endpoint: str, variant: str, batch: Sequence[Measured]) -> Iterator[dict[str, Any]]:
    """Yield CloudWatch's MetricData of invocations: a set of statistics for each metric."""
    values = {
        "Invocations": [1.0] * len(batch),
        "InvocationsPerInstance": [1.0 / m.instances for m in batch],
        "Invocation4XXErrors": [float(400 <= m.status < 500) for m in batch],
        "Invocation5XXErrors": [float(m.status >= 500) for m in batch],
        "InvocationModelErrors": [float(m.status != 200) for m in batch],
        "ModelLatency": [m.model for m in batch],
        "OverheadLatency": [m.overhead for m in batch],
    }
    dimensions = {"EndpointName": endpoint, "VariantName": variant}
    at = now()
    for name, numbers in values.items():
        yield {
            "MetricName": name,
            "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
            "Timestamp": at,
            "Unit": "Microseconds" if name.endswith("Latency") else "None",
            "StatisticValues": {
                "SampleCount": len(numbers),
                "Sum": sum(numbers),
                "Minimum": min(numbers),
                "Maximum": max(numbers),
            },
        }
