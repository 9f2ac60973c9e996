"""Data capture: writes requests and responses of endpoints to S3 as JSON Lines."""

import base64
import datetime
import json
import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local_sagemaker.hosting.batches import Batches
from local_sagemaker.hosting.invocation import Invocation
from local_sagemaker.hosting.model_server import Response
from local_sagemaker.storage import objects
from local_sagemaker.storage.records import Record

_CUSTOM_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


@dataclass(frozen=True)
class Exchange:
    """A request and its response, with the configuration that captures them."""

    config: Mapping[str, Any]  # DataCaptureConfig
    request: Invocation
    response: Response
    at: datetime.datetime

    def record(self) -> Record:
        """Return the exchange in AWS's format of captured data."""
        modes = {option["CaptureMode"] for option in self.config["CaptureOptions"]}
        data = {}
        if modes & {"Input", "InputAndOutput"}:
            content_type = self.request.headers.get("Content-Type") or ""
            data["endpointInput"] = self._data(self.request.body, content_type, "INPUT")
        if modes & {"Output", "InputAndOutput"}:
            data["endpointOutput"] = self._data(
                self.response.body, self.response.content_type, "OUTPUT"
            )
        metadata: Record = {"eventId": str(uuid.uuid4())}
        if attributes := self.request.headers.get(_CUSTOM_ATTRIBUTES):
            metadata["customAttributes"] = [attributes]
        if self.request.inference_id:
            metadata["inferenceId"] = self.request.inference_id
        metadata["inferenceTime"] = f"{self.at:%Y-%m-%dT%H:%M:%SZ}"
        return {"captureData": data, "eventMetadata": metadata, "eventVersion": "0"}

    def _data(self, content: bytes, content_type: str, mode: str) -> Record:
        listed = self.config.get("CaptureContentTypeHeader") or {}
        media_type = content_type.partition(";")[0].strip().lower()
        encoding = "BASE64"
        for name in ("Csv", "Json"):
            if media_type in map(str.lower, listed.get(f"{name}ContentTypes") or ()):
                encoding = name.upper()
        try:
            text = content.decode() if encoding != "BASE64" else ""
        except UnicodeDecodeError:
            encoding = "BASE64"
        if encoding == "BASE64":
            text = base64.b64encode(content).decode()
        described = {"observedContentType": content_type} if content_type else {}
        return {**described, "mode": mode, "data": text, "encoding": encoding}


class DataCapture:
    """Writes captured exchanges to S3, an object for each variant and second at most."""

    def __init__(self, s3: Any):
        """Take a boto3 S3 client."""
        self._s3 = s3
        self._batches: Batches[tuple[str, str], Exchange] = Batches(self._send)

    def add(self, endpoint: str, variant: str, exchange: Exchange) -> None:
        """Capture an exchange; its hour is a part of the object's key."""
        stem = f"{exchange.config['DestinationS3Uri'].rstrip('/')}/{endpoint}/{variant}"
        self._batches.add((stem, f"{exchange.at:%Y/%m/%d/%H}"), exchange)

    def flush(self) -> None:
        """Return when everything that was captured is in S3."""
        self._batches.flush()

    def stop(self, deliver: bool) -> None:
        """Write the last objects, or drop what they would hold."""
        self._batches.stop(deliver)

    def _send(self, key: tuple[str, str], batch: list[Exchange]) -> None:
        stem, hour = key
        at = batch[0].at
        uri = f"{stem}/{hour}/{at:%M-%S}-{at.microsecond // 1000:03}-{uuid.uuid4()}.jsonl"
        bucket, name = objects.split_uri(uri)
        lines = "".join(f"{json.dumps(exchange.record())}\n" for exchange in batch)
        self._s3.put_object(
            Bucket=bucket, Key=name, Body=lines.encode(), ContentType="application/json"
        )


def is_enabled(config: Mapping[str, Any] | None) -> bool:
    """Return whether a DataCaptureConfig captures; EnableCapture is true by default."""
    return bool(config) and (config or {}).get("EnableCapture") is not False


def is_sampled(config: Mapping[str, Any] | None) -> bool:
    """Return whether a request is one of those that are captured."""
    if config is None or not is_enabled(config):
        return False
    percentage: int = config["InitialSamplingPercentage"]
    return random.random() * 100 < percentage  # noqa: S311


def summary(config: Mapping[str, Any] | None) -> Record | None:
    """Return DescribeEndpoint's summary of a DataCaptureConfig."""
    if not config:
        return None
    enabled = is_enabled(config)
    return {
        "EnableCapture": enabled,
        "CaptureStatus": "Started" if enabled else "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId") or "",
    }
