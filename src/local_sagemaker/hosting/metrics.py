"""The metrics of endpoints in CloudWatch, under AWS/SageMaker."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from local_sagemaker.hosting.batches import Batches
from local_sagemaker.storage.metrics import publish
from local_sagemaker.storage.records import now

_NAMESPACE = "AWS/SageMaker"


_DIMENSIONS = ("EndpointName", "VariantName", "ContainerName")
_OF_CONTAINER = ("Invocations", "Invocation4XXErrors", "Invocation5XXErrors", "OverheadLatency")
Values = Mapping[str, float]  # of metrics, by their names; latencies in microseconds


class EndpointMetrics:
    """Sends the metrics of invocations to CloudWatch, once a second for each variant."""

    def __init__(self) -> None:
        """Start with no invocation."""
        self._batches: Batches[tuple[str, ...], Values] = Batches(self._send)

    def add(self, values: Values, *dimensions: str) -> None:
        """Add an invocation; the dimensions are an endpoint, a variant and perhaps a container."""
        self._batches.add(dimensions, values)

    def stop(self, deliver: bool) -> None:
        """Send the last metrics, or drop what they would hold."""
        self._batches.stop(deliver)

    def _send(self, dimensions: tuple[str, ...], batch: list[Values]) -> None:
        publish(_NAMESPACE, metric_data(dimensions, batch))


def of_invocation(status: int, model: float, overhead: float, instances: int) -> Values:
    """Return the metrics of an invocation of a variant.

    Args:
        status: of the response.
        model: seconds that the model took.
        overhead: seconds that the service took.
        instances: of the variant.
    """
    return {
        "Invocations": 1.0,
        "InvocationsPerInstance": 1.0 / instances,
        "Invocation4XXErrors": float(400 <= status < 500),
        "Invocation5XXErrors": float(status >= 500),
        "InvocationModelErrors": float(status != 200),
        "ModelLatency": model * 1e6,
        "OverheadLatency": overhead * 1e6,
    }


def of_container(values: Values) -> Values:
    """Return the metrics that an invocation also has for the container that it named."""
    return {name: values[name] for name in _OF_CONTAINER}


def metric_data(dimensions: Sequence[str], batch: Sequence[Values]) -> Iterator[dict[str, Any]]:
    """Yield CloudWatch's MetricData of invocations: a set of statistics for each metric."""
    series: dict[str, list[float]] = {}
    for values in batch:
        for name, value in values.items():
            series.setdefault(name, []).append(value)
    at = now()
    for name, numbers in series.items():
        yield {
            "MetricName": name,
            "Dimensions": [
                {"Name": key, "Value": value}
                for key, value in zip(_DIMENSIONS, dimensions, strict=False)
            ],
            "Timestamp": at,
            "Unit": "Microseconds" if name.endswith("Latency") else "None",
            "StatisticValues": {
                "SampleCount": len(numbers),
                "Sum": sum(numbers),
                "Minimum": min(numbers),
                "Maximum": max(numbers),
            },
        }
