"""One batch transform job: every object of an input through a model, each to an output object."""

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
from local_sagemaker.jobs.base import Queued
from local_sagemaker.jobs.splitting import assemble, payloads, records
from local_sagemaker.storage import channels, objects
from local_sagemaker.storage.records import Record, now

KIND = "transform-job"
GROUP = "/aws/sagemaker/TransformJobs"


class TransformRun(Queued):
    """The job's thread."""

    kind = KIND

    def work(self) -> None:
        """Start the model's server, send it all objects, and end it."""
        context, record = self.context, self.record()
        self.update(TransformStartTime=now())
        model = context.store.get(MODEL, record["ModelName"])
        if model is None:
            raise LocalError(f"ClientError: the model {record['ModelName']} is gone.")
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
        """Note how it ended."""
        self.update(TransformJobStatus=status, TransformEndTime=now(), **changes)

    def _transform(self, record: Record, server: ModelServer) -> None:
        context = self.context
        source, output = record["TransformInput"], record["TransformOutput"]
        found = channels.list_objects(context.s3, source["DataSource"]["S3DataSource"])
        if not found:
            uri = source["DataSource"]["S3DataSource"]["S3Uri"]
            raise LocalError(f"ClientError: no S3 objects found under {uri!r}.")
        settings = _settings(record, server)
        bucket, prefix = objects.split_uri(output["S3OutputPath"])
        stem = prefix.rstrip("/") + "/" if prefix.strip("/") else ""
        with ThreadPoolExecutor(settings["MaxConcurrentTransforms"]) as pool:
            for from_bucket, key, place in found:
                if self.stopping.is_set():
                    return
                content = context.s3.get_object(Bucket=from_bucket, Key=key)["Body"].read()
                if source.get("CompressionType") == "Gzip":
                    content = gzip.decompress(content)
                cut = records(content, source.get("SplitType") or "None")
                most = settings["MaxPayloadInMB"] * 2**20
                bodies = payloads(cut, settings["BatchStrategy"], most or len(content) + 1)
                asked = [pool.submit(self._ask, server, record, key, body) for body in bodies]
                answers = [one.result() for one in asked]
                if self.stopping.is_set():
                    return
                result = assemble(answers, output.get("AssembleWith") or "None")
                context.s3.put_object(Bucket=bucket, Key=f"{stem}{place}.out", Body=result)

    def _ask(self, server: ModelServer, record: Record, key: str, body: bytes) -> bytes:
        if self.stopping.is_set():
            return b""
        headers = {
            "Content-Type": record["TransformInput"].get("ContentType") or "",
            "Accept": record["TransformOutput"].get("Accept") or "",
        }
        try:
            answer = server.invoke(body, headers)
        except (OSError, http.client.HTTPException) as error:
            raise LocalError(f"AlgorithmError: {key}: the model did not answer: {error}") from error
        if answer.status != 200:
            text = answer.body.decode(errors="replace")
            side = "ClientError" if answer.status < 500 else "AlgorithmError"
            raise LocalError(f"{side}: {key}: the model answered {answer.status}: {text}")
        return answer.body


def _settings(record: Record, server: ModelServer) -> dict[str, Any]:
    """Return the job's settings; what it leaves open, the container may say."""
    told: Mapping[str, Any] = {}
    if not record.get("MaxConcurrentTransforms") or record.get("MaxPayloadInMB") is None:
        try:
            answer = server.get("/execution-parameters")
            told = json.loads(answer.body) if answer.status == 200 else {}
        except (OSError, http.client.HTTPException, ValueError):
            told = {}
    defaults = {"MaxConcurrentTransforms": 1, "BatchStrategy": "MultiRecord", "MaxPayloadInMB": 6}
    found = {name: record.get(name, told.get(name, value)) for name, value in defaults.items()}
    found["MaxConcurrentTransforms"] = max(1, int(found["MaxConcurrentTransforms"]))
    return found


def _environment(record: Record) -> dict[str, str]:
    names = {
        "SAGEMAKER_BATCH_STRATEGY": "BatchStrategy",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "MaxPayloadInMB",
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "MaxConcurrentTransforms",
    }
    given = {name: str(record[member]) for name, member in names.items() if record.get(member)}
    return {"SAGEMAKER_BATCH": "true", **given, **(record.get("Environment") or {})}
