"""A batch transform job: sends each input object to a model and writes an output object."""

import gzip
import http.client
import json
import threading
import time
import uuid
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

from local_sagemaker.errors import LocalError
from local_sagemaker.hosting.containers import PRIMARY
from local_sagemaker.hosting.endpoints import MODEL
from local_sagemaker.hosting.instance import Instance, NoResponse
from local_sagemaker.hosting.model_server import ServerOptions
from local_sagemaker.jobs.base import ENDED, Job
from local_sagemaker.jobs.data_processing import JSON, DataProcessing, media_type
from local_sagemaker.jobs.splitting import ObjectError, assemble, payloads, records
from local_sagemaker.storage import channels, objects
from local_sagemaker.storage.logs import Stream
from local_sagemaker.storage.records import Record, now

__all__ = ["ENDED", "KIND", "TransformJob"]

KIND = "transform-job"
GROUP = "/aws/sagemaker/TransformJobs"
_CLIENT_DEFAULTS = {"InvocationsTimeoutInSeconds": 600, "InvocationsMaxRetries": 3}


class TransformJob(Job):
    """Runs a batch transform job."""

    kind = KIND

    def work(self) -> None:
        """Start the model's server, transform all objects, and stop the server."""
        context, record = self.context, self.record()
        self.update(TransformStartTime=now())
        source = record["TransformInput"]["DataSource"]["S3DataSource"]
        inputs = channels.list_objects(context.s3, source)
        if not inputs:
            raise LocalError(f"ClientError: no S3 objects found under {source['S3Uri']!r}.")
        model = context.store.get(MODEL, record["ModelName"])
        if model is None:
            raise LocalError(f"ClientError: the model {record['ModelName']} was deleted.")
        instance, epoch = f"i-{uuid.uuid4().hex[:17]}", int(time.time())

        def open_stream(container: str) -> Stream:
            path = f"{self.name}/{instance}-{epoch}/{container}".rstrip("/")
            file = context.folder(KIND, self.name) / f"{container or instance}-{epoch}.log"
            return context.logs.stream(GROUP, path, file)

        server = Instance(context, model, open_stream, ServerOptions(_environment(record)))
        try:
            self._transform(record, server, inputs)
        finally:
            server.stop()
        if self.abandoned:
            self.fail(self.abandoned)
        else:
            self.end("Stopped" if self.stopping.is_set() else "Completed")

    def end(self, status: str, **changes: Any) -> None:
        """Record the final status."""
        self.close(TransformJobStatus=status, TransformEndTime=now(), **changes)

    def _transform(self, record: Record, server: Instance, inputs: list[channels.S3Object]) -> None:
        """Transform all objects, also those after an object that cannot be transformed.

        Raises: LocalError if the model does not answer, and at the end if an object failed.
        """
        bucket, prefix = objects.split_uri(record["TransformOutput"]["S3OutputPath"])
        stem = prefix.rstrip("/") + "/" if prefix.strip("/") else ""
        failures = []
        with _Transformer(record, server, self.stopping) as transformer:
            for input_bucket, key, place in inputs:
                try:
                    content = _read(self.context.s3, input_bucket, key, record["TransformInput"])
                    result = transformer.transform(content)
                except ObjectError as error:
                    failures.append(f"{error.side}: {key}: {error}")
                    continue
                except LocalError as error:
                    raise LocalError(f"AlgorithmError: {key}: {error}") from error
                if self.stopping.is_set():
                    return
                self.context.s3.put_object(Bucket=bucket, Key=f"{stem}{place}.out", Body=result)
        if failures:
            raise LocalError(
                f"{failures[0][:900]} ({len(failures)} of {len(inputs)} objects failed)"
            )


class _Transformer:
    """Transforms the contents of objects by requests to a model."""

    def __init__(self, record: Record, server: Instance, stopping: threading.Event):
        self._server, self._stopping = server, stopping
        source, output = record["TransformInput"], record["TransformOutput"]
        self._headers = {
            "Content-Type": source.get("ContentType") or "",
            "Accept": output.get("Accept") or "",
        }
        self._split = source.get("SplitType") or "None"
        self._assemble_with = output.get("AssembleWith") or "None"
        self._processing = DataProcessing(record)
        self._settings = _settings(record, server)
        self._client = {**_CLIENT_DEFAULTS, **(record.get("ModelClientConfig") or {})}
        self._concurrent = max(1, int(self._settings["MaxConcurrentTransforms"]))
        self._pool = ThreadPoolExecutor(self._concurrent)

    def __enter__(self) -> "_Transformer":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def transform(self, content: bytes) -> bytes:
        """Return the output object of an input object.

        Raises: ObjectError if it cannot be transformed; LocalError if the model does not answer.
        """
        pieces = records(content, self._split)
        if not self._processing.changes_output:
            return assemble(self._responses(pieces), self._assemble_with)
        kept = list(pieces)
        return self._processing.output(kept, list(self._responses(iter(kept))))

    def _responses(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        contents = map(self._processing.model_input, pieces)
        max_bytes = int(self._settings["MaxPayloadInMB"]) << 20
        bodies = payloads(contents, self._settings["BatchStrategy"], max_bytes)
        # A few bodies at a time, so that not all of them are in memory.
        while not self._stopping.is_set() and (group := list(islice(bodies, self._concurrent))):
            yield from self._pool.map(self._invoke, group)

    def _invoke(self, body: bytes) -> bytes:
        for retries_left in range(self._client["InvocationsMaxRetries"], -1, -1):
            last = not retries_left or self._stopping.is_set()
            try:
                seconds = self._client["InvocationsTimeoutInSeconds"]
                response = self._server.invoke(body, self._headers, seconds)
            except NoResponse:
                if last:
                    raise
                continue
            if response.status == 200:
                return response.body
            if response.status < 500 or last:
                break
        text = response.body.decode(errors="replace")
        side = "ClientError" if response.status < 500 else "AlgorithmError"
        name = "the model" if response.container == PRIMARY else response.container
        raise ObjectError(f"{name} answered {response.status}: {text}", side)


def _read(s3: Any, bucket: str, key: str, source: Mapping[str, Any]) -> bytes:
    """Return the content of an object, decompressed. Raises: ObjectError."""
    try:
        content: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return gzip.decompress(content) if source.get("CompressionType") == "Gzip" else content
    except s3.exceptions.ClientError as error:
        raise ObjectError(f"the object cannot be read: {error}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise ObjectError(f"the object is not gzip, which CompressionType says: {error}") from error


def _settings(record: Record, server: Instance) -> dict[str, Any]:
    """Return the job's settings; the container's /execution-parameters complete the request."""
    settings = {"MaxConcurrentTransforms": 1, "BatchStrategy": "MultiRecord", "MaxPayloadInMB": 6}
    if not settings.keys() <= record.keys():
        try:
            response = server.get("/execution-parameters")
            parameters = json.loads(response.body) if response.status == 200 else {}
        except (OSError, http.client.HTTPException, ValueError):
            parameters = {}
        settings.update((k, parameters[k]) for k in settings.keys() & parameters.keys())
        if media_type(record["TransformInput"].get("ContentType")) == JSON:
            settings["BatchStrategy"] = "SingleRecord"  # two JSON documents are not one
    settings.update((key, record[key]) for key in settings.keys() & record.keys())
    return settings


def _environment(record: Record) -> dict[str, str]:
    strategy = {"SingleRecord": "SINGLE_RECORD", "MultiRecord": "MULTI_RECORD"}
    values = {
        "SAGEMAKER_BATCH_STRATEGY": strategy.get(record.get("BatchStrategy", "")),
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": record.get("MaxPayloadInMB"),
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": record.get("MaxConcurrentTransforms"),
    }
    settings = {name: str(value) for name, value in values.items() if value is not None}
    return {"SAGEMAKER_BATCH": "true", **settings, **(record.get("Environment") or {})}
