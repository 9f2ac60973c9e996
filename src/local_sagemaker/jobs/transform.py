"""A batch transform job: sends each input object to a model and writes an output object."""

import gzip
import http.client
import json
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from local_sagemaker.errors import LocalError
from local_sagemaker.hosting.endpoints import MODEL
from local_sagemaker.hosting.model_server import ModelServer
from local_sagemaker.jobs.base import ENDED, Job
from local_sagemaker.jobs.splitting import assemble, payloads, records
from local_sagemaker.storage import channels, objects
from local_sagemaker.storage.records import Record, now

__all__ = ["ENDED", "KIND", "TransformJob"]

KIND = "transform-job"
GROUP = "/aws/sagemaker/TransformJobs"


class TransformJob(Job):
    """Runs a batch transform job."""

    kind = KIND

    def work(self) -> None:
        """Start the model's server, transform all objects, and stop the server."""
        context, record = self.context, self.record()
        self.update(TransformStartTime=now())
        model = context.store.get(MODEL, record["ModelName"])
        if model is None:
            raise LocalError(f"ClientError: the model {record['ModelName']} was deleted.")
        file = context.folder(KIND, self.name) / f"i-{uuid.uuid4().hex[:17]}-{int(time.time())}.log"
        stream = context.logs.stream(GROUP, f"{self.name}/{file.stem}", file)
        server = ModelServer(context, model, stream, _environment(record))
        try:
            self._transform(record, server)
        finally:
            server.stop()
        if self.abandoned:
            self.fail(self.abandoned)
        else:
            self.end("Stopped" if self.stopping.is_set() else "Completed")

    def end(self, status: str, **changes: Any) -> None:
        """Record the final status."""
        self.update(TransformJobStatus=status, TransformEndTime=now(), **changes)

    def _transform(self, record: Record, server: ModelServer) -> None:
        s3 = self.context.s3
        source, output = record["TransformInput"], record["TransformOutput"]
        inputs = channels.list_objects(s3, source["DataSource"]["S3DataSource"])
        if not inputs:
            uri = source["DataSource"]["S3DataSource"]["S3Uri"]
            raise LocalError(f"ClientError: no S3 objects found under {uri!r}.")
        settings = _settings(record, server)
        bucket, prefix = objects.split_uri(output["S3OutputPath"])
        stem = prefix.rstrip("/") + "/" if prefix.strip("/") else ""
        with ThreadPoolExecutor(settings["MaxConcurrentTransforms"]) as pool:
            for input_bucket, key, place in inputs:
                if self.stopping.is_set():
                    return
                content = s3.get_object(Bucket=input_bucket, Key=key)["Body"].read()
                if source.get("CompressionType") == "Gzip":
                    content = gzip.decompress(content)
                pieces = records(content, source.get("SplitType") or "None")
                max_bytes = settings["MaxPayloadInMB"] * 2**20 or len(content) + 1
                bodies = payloads(pieces, settings["BatchStrategy"], max_bytes)
                futures = [pool.submit(self._invoke, server, record, key, b) for b in bodies]
                responses = [future.result() for future in futures]
                if self.stopping.is_set():
                    return
                result = assemble(responses, output.get("AssembleWith") or "None")
                s3.put_object(Bucket=bucket, Key=f"{stem}{place}.out", Body=result)

    def _invoke(self, server: ModelServer, record: Record, key: str, body: bytes) -> bytes:
        if self.stopping.is_set():
            return b""
        headers = {
            "Content-Type": record["TransformInput"].get("ContentType") or "",
            "Accept": record["TransformOutput"].get("Accept") or "",
        }
        try:
            response = server.invoke(body, headers)
        except (OSError, http.client.HTTPException) as error:
            raise LocalError(f"AlgorithmError: {key}: the model did not answer: {error}") from error
        if response.status != 200:
            text = response.body.decode(errors="replace")
            side = "ClientError" if response.status < 500 else "AlgorithmError"
            raise LocalError(f"{side}: {key}: the model answered {response.status}: {text}")
        return response.body


def _settings(record: Record, server: ModelServer) -> dict[str, Any]:
    """Return the job's settings; the container's /execution-parameters complete the request."""
    parameters: Mapping[str, Any] = {}
    if not record.get("MaxConcurrentTransforms") or record.get("MaxPayloadInMB") is None:
        try:
            response = server.get("/execution-parameters")
            parameters = json.loads(response.body) if response.status == 200 else {}
        except (OSError, http.client.HTTPException, ValueError):
            parameters = {}
    defaults = {"MaxConcurrentTransforms": 1, "BatchStrategy": "MultiRecord", "MaxPayloadInMB": 6}
    settings = {k: record.get(k, parameters.get(k, value)) for k, value in defaults.items()}
    settings["MaxConcurrentTransforms"] = max(1, int(settings["MaxConcurrentTransforms"]))
    return settings


def _environment(record: Record) -> dict[str, str]:
    names = {
        "SAGEMAKER_BATCH_STRATEGY": "BatchStrategy",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "MaxPayloadInMB",
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "MaxConcurrentTransforms",
    }
    settings = {name: str(record[key]) for name, key in names.items() if record.get(key)}
    return {"SAGEMAKER_BATCH": "true", **settings, **(record.get("Environment") or {})}
