"""Long polling for GetLogEvents of a running job: an empty page is held back until lines arrive.

SageMaker's SDK reads a log until a page is empty, and then sleeps for ten seconds. Without empty
pages it shows each line as it is written.
"""

import io
import json
import time
from collections.abc import Iterable
from typing import Any

from local_sagemaker.storage.logs import Logs

_SECONDS = 20.0


class LogLongPoll:
    """A WSGI application in front of moto's CloudWatch Logs."""

    def __init__(self, moto: Any, logs: Logs):
        """Take moto's application and the streams of running jobs."""
        self._moto, self._logs = moto, logs

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        """Answer a GetLogEvents request."""
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length)
        deadline = time.monotonic() + _SECONDS
        while True:
            may_grow = self._may_grow(body)
            head, content = self._get({**environ, "wsgi.input": io.BytesIO(body)})
            if not may_grow or time.monotonic() > deadline or not _is_empty(content):
                start(*head)
                return [content]
            self._logs.wait(1.0)

    def _get(self, environ: dict[str, Any]) -> tuple[Any, bytes]:
        """Return status and headers, and the body, of moto's response."""
        heads: list[Any] = []
        content = b"".join(self._moto(environ, lambda *head: heads.append(head)))
        return heads[0], content

    def _may_grow(self, body: bytes) -> bool:
        """Return whether a request continues another one, and its stream is still open."""
        try:
            request = json.loads(body)
            name, stream = request["logGroupName"], request["logStreamName"]
        except (ValueError, LookupError, TypeError):
            return False
        return "nextToken" in request and self._logs.is_open(name, stream)


def _is_empty(content: bytes) -> bool:
    try:
        return bool(json.loads(content)["events"] == [])
    except (ValueError, LookupError, TypeError):
        return False
