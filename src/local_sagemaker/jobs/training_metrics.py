"""The metrics of training jobs: from their logs, into their records and CloudWatch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local_sagemaker import builtin
from local_sagemaker.context import Context
from local_sagemaker.storage import metrics
from local_sagemaker.storage.records import now

KIND, METRICS = "training-job", "training-metrics"
GROUP = "/aws/sagemaker/TrainingJobs"


def log_files(context: Context, name: str) -> dict[str, Path]:
    """Return the file of each log stream of a job."""
    return context.log_files(KIND, name)


def scrape_metrics(context: Context, record: Mapping[str, Any]) -> dict[str, list[metrics.Point]]:
    """Return the values of the job's metrics that its log has so far."""
    name = record["TrainingJobName"]
    scraper = context.metric_scrapers.get(name)
    if scraper is None:
        specification = record["AlgorithmSpecification"]
        definitions = specification.get("MetricDefinitions") or []
        image = {"TrainingImage": specification["TrainingImage"]}
        limited = definitions != builtin.metric_definitions(image)
        scraper = metrics.MetricScraper(definitions, limited=limited)
        scraper = context.metric_scrapers.setdefault(name, scraper)
    return scraper.update(log_files(context, name).values())


def store_metrics(context: Context, name: str, points: Mapping[str, list[metrics.Point]]) -> None:
    """Keep an ended job's metrics, so that a restart need not read its log."""
    values = {key: [(p.milliseconds, p.value) for p in series] for key, series in points.items()}
    context.store.add(METRICS, name, {"CreationTime": now(), "Points": values})


def stored_metrics(context: Context, name: str) -> dict[str, list[metrics.Point]]:
    """Return the metrics that an ended job has kept."""
    values = (context.store.get(METRICS, name) or {"Points": {}})["Points"]
    return {key: [metrics.Point(*point) for point in series] for key, series in values.items()}
