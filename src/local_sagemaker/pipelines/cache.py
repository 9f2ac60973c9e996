"""Step caching: reuse of the properties of a step that ran with the same arguments."""

import datetime
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from local_sagemaker.errors import invalid
from local_sagemaker.pipelines.steps import STEP_TYPES
from local_sagemaker.storage.records import Record, now

_DAYS = {"year": 365, "month": 30, "week": 7, "day": 1}
_DURATION = re.compile(
    r"P?(?:(?P<year>\d+)Y)?(?:(?P<month>\d+)M)?(?:(?P<week>\d+)W)?(?:(?P<day>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?",
    re.IGNORECASE,
)
_MAX_DAYS = 36500


def check(config: Any, title: str, kind: str) -> None:
    """Raise a ValidationException if the CacheConfig of a step is invalid."""
    if config is None:
        return
    if not isinstance(config, dict) or config.keys() - {"Enabled", "ExpireAfter"}:
        raise invalid(f"{title}: CacheConfig must have Enabled and ExpireAfter alone.")
    if not isinstance(config.get("Enabled"), bool):
        raise invalid(f"{title}: Enabled of CacheConfig must be true or false.")
    if kind not in STEP_TYPES or not STEP_TYPES[kind].cached:
        raise invalid(f"{title}: a {kind} step cannot be cached.")
    if config.get("ExpireAfter") is not None and duration(config["ExpireAfter"]) is None:
        raise invalid(f"{title}: ExpireAfter must be an ISO 8601 duration, such as P30D or PT1H.")


def duration(text: Any) -> datetime.timedelta | None:
    """Return an ISO 8601 duration, whose P may be missing; None if the text is none."""
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    parts = {name: int(n) for name, n in match.groupdict().items() if n} if match else {}
    if not parts:
        return None
    days = sum(parts.pop(name, 0) * count for name, count in _DAYS.items())
    try:
        return min(datetime.timedelta(days, **parts), datetime.timedelta(_MAX_DAYS))
    except OverflowError:
        return datetime.timedelta(_MAX_DAYS)


def key(kind: str, arguments: Mapping[str, Any]) -> str:
    """Return a digest of the arguments that a cached step must have in common."""
    common = {name: arguments.get(name) for name in STEP_TYPES[kind].cached}
    return hashlib.sha256(json.dumps(common, sort_keys=True).encode()).hexdigest()


def find(records: Iterable[Record], digest: str, config: Mapping[str, Any]) -> Record | None:
    """Return the latest record of a step that can be reused, or None.

    Args:
        records: the records of the step in all executions of its pipeline.
        digest: the step's key.
        config: the step's CacheConfig.
    """
    age = duration(config.get("ExpireAfter"))
    hits = [
        record
        for record in records
        if record.get("CacheKey") == digest
        and record["StepStatus"] == "Succeeded"
        and "CacheHitResult" not in record
        and (age is None or now() - record["EndTime"] <= age)
    ]
    return max(hits, key=lambda record: record["EndTime"], default=None)
