"""Endpoints and tuning jobs as the console displays them."""

import statistics
from typing import Any

from local_sagemaker.console.views import seconds
from local_sagemaker.context import Context
from local_sagemaker.hosting.instance import Instance
from local_sagemaker.jobs.evaluations import FINAL, best_job, definitions_of, jobs_of
from local_sagemaker.storage.records import Record


def endpoint(context: Context, record: Record) -> dict[str, Any]:
    """Return an endpoint with its variants, and the sums over them."""
    config = (record.get("Deployment") or {}).get("Config") or {}
    models = {v["VariantName"]: v.get("ModelName") for v in config.get("ProductionVariants") or ()}
    by_variant = context.endpoints.servers(record["EndpointName"])
    servers = by_variant.values()
    return {
        "name": record["EndpointName"],
        "status": record["EndpointStatus"],
        "reason": record.get("FailureReason"),
        "config": record["EndpointConfigName"],
        "created": seconds(record["CreationTime"]),
        "healthy": bool(servers) and all(server.healthy for server in servers),
        "requests": sum(server.count for server in servers),
        "errors": sum(server.errors for server in servers),
        "median": _median([value for server in servers for value in list(server.latencies)]),
        "variants": [
            _variant(name, server, models.get(name)) for name, server in by_variant.items()
        ],
    }


def tuning_row(context: Context, record: Record) -> dict[str, Any]:
    """Return a row of the list of tuning jobs."""
    config = record["HyperParameterTuningJobConfig"]
    name = record["HyperParameterTuningJobName"]
    jobs = jobs_of(context, name)
    best = best_job(jobs)
    return {
        "name": name,
        "status": record["HyperParameterTuningJobStatus"],
        "reason": record.get("FailureReason"),
        "strategy": config["Strategy"],
        "finished": sum(job["ObjectiveStatus"] != "Pending" for job in jobs),
        "max_jobs": config["ResourceLimits"].get("MaxNumberOfTrainingJobs", "all"),
        "best": best and best[FINAL]["Value"],
        "created": seconds(record["CreationTime"]),
        "ended": seconds(record.get("HyperParameterTuningEndTime")),
    }


def tuning(context: Context, record: Record) -> dict[str, Any]:
    """Return a tuning job with its training jobs, the best first."""
    definitions = definitions_of(record)
    objective = definitions[0]["TuningObjective"]
    records = jobs_of(context, record["HyperParameterTuningJobName"])
    best = best_job(records)
    sign = -1 if objective["Type"] == "Maximize" else 1
    jobs = [_trial(job) for job in records]
    jobs.sort(key=lambda job: float("inf") if job["value"] is None else sign * job["value"])
    return {
        **tuning_row(context, record),
        "objective": objective["MetricName"],
        "direction": objective["Type"],
        "best": best and best["TrainingJobName"],
        "jobs": jobs,
        "parameters": [
            {
                "name": entry["Name"],
                "values": entry.get("Values"),
                "log": entry.get("ScalingType") == "Logarithmic",
            }
            for definition in definitions
            for kind, ranges in definition["HyperParameterRanges"].items()
            for entry in ranges or ()
            if kind != "AutoParameters"
        ],
    }


def _trial(job: Record) -> dict[str, Any]:
    return {
        "name": job["TrainingJobName"],
        "status": job["TrainingJobStatus"],
        "value": job[FINAL] and job[FINAL]["Value"],
        "tuned": job.get("TunedHyperParameters") or {},
        "started": seconds(job.get("TrainingStartTime")),
        "ended": seconds(job.get("TrainingEndTime")),
    }


def _variant(name: str, server: Instance, model: str | None) -> dict[str, Any]:
    latencies = sorted(server.latencies)
    return {
        "name": name,
        "model": model,
        "healthy": server.healthy,
        "requests": server.count,
        "errors": server.errors,
        "restarts": server.restarts,
        "median": _median(latencies),
        "high": latencies[int(len(latencies) * 0.99)] if latencies else None,
    }


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None
