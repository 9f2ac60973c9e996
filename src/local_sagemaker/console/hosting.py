"""What the console shows of endpoints and of tuning jobs."""

import statistics
from typing import Any

from local_sagemaker.console.views import seconds
from local_sagemaker.context import Context
from local_sagemaker.hosting.endpoints import CONFIG, Endpoints
from local_sagemaker.hosting.model_server import ModelServer
from local_sagemaker.jobs.tuning import best_job, jobs_of
from local_sagemaker.storage.records import Record

_FINAL = "FinalHyperParameterTuningJobObjectiveMetric"


def endpoint(context: Context, endpoints: Endpoints, record: Record) -> dict[str, Any]:
    """Return an endpoint with its variants, and the sums over them."""
    config = context.store.get(CONFIG, record["EndpointConfigName"]) or {}
    models = {
        one["VariantName"]: one.get("ModelName") for one in config.get("ProductionVariants") or ()
    }
    servers = endpoints.servers(record["EndpointName"])
    latencies = [value for one in servers.values() for value in list(one.latencies)]
    return {
        "name": record["EndpointName"],
        "status": record["EndpointStatus"],
        "reason": record.get("FailureReason"),
        "config": record["EndpointConfigName"],
        "created": seconds(record["CreationTime"]),
        "healthy": bool(servers) and all(one.healthy for one in servers.values()),
        "requests": sum(one.count for one in servers.values()),
        "errors": sum(one.errors for one in servers.values()),
        "median": statistics.median(latencies) if latencies else None,
        "variants": [_variant(name, one, models.get(name)) for name, one in servers.items()],
    }


def tuning_row(context: Context, record: Record) -> dict[str, Any]:
    """Return a line of the list of tuning jobs."""
    config = record["HyperParameterTuningJobConfig"]
    name = record["HyperParameterTuningJobName"]
    best = best_job(context, name, config["HyperParameterTuningJobObjective"])
    jobs = jobs_of(context, name)
    return {
        "name": name,
        "status": record["HyperParameterTuningJobStatus"],
        "reason": record.get("FailureReason"),
        "strategy": config["Strategy"],
        "done": sum(one["ObjectiveStatus"] != "Pending" for one in jobs),
        "most": config["ResourceLimits"].get("MaxNumberOfTrainingJobs", "all"),
        "best": best and best[_FINAL]["Value"],
        "created": seconds(record["CreationTime"]),
        "ended": seconds(record.get("HyperParameterTuningEndTime")),
    }


def tuning(context: Context, record: Record) -> dict[str, Any]:
    """Return a tuning job with its training jobs, the best first."""
    config = record["HyperParameterTuningJobConfig"]
    name, goal = record["HyperParameterTuningJobName"], config["HyperParameterTuningJobObjective"]
    best = best_job(context, name, goal)
    sign = -1 if goal["Type"] == "Maximize" else 1
    jobs = [
        {
            "name": one["TrainingJobName"],
            "status": one["TrainingJobStatus"],
            "value": one[_FINAL] and one[_FINAL]["Value"],
            "tuned": one.get("TunedHyperParameters") or {},
            "started": seconds(one.get("TrainingStartTime")),
            "ended": seconds(one.get("TrainingEndTime")),
        }
        for one in jobs_of(context, name)
    ]
    jobs.sort(key=lambda one: float("inf") if one["value"] is None else sign * one["value"])
    return {
        **tuning_row(context, record),
        "objective": goal["MetricName"],
        "direction": goal["Type"],
        "best": best and best["TrainingJobName"],
        "jobs": jobs,
        "parameters": [
            {
                "name": one["Name"],
                "values": one.get("Values"),
                "log": one.get("ScalingType") == "Logarithmic",
            }
            for ranges in (config.get("ParameterRanges") or {}).values()
            for one in ranges or ()
        ],
    }


def _variant(name: str, server: ModelServer, model: str | None) -> dict[str, Any]:
    latencies = sorted(server.latencies)
    return {
        "name": name,
        "model": model,
        "healthy": server.healthy,
        "requests": server.count,
        "errors": server.errors,
        "restarts": server.restarts,
        "median": statistics.median(latencies) if latencies else None,
        "high": latencies[int(len(latencies) * 0.99)] if latencies else None,
    }
