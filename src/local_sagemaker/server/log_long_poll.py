"""GetLogEvents of a running job: where nothing is new, the answer waits until something is.

SageMaker's SDK reads a log until a page is empty, and then sleeps for ten seconds: so it shows
the lines as they come.
"""

import io
import json
import time
from collections.abc import Iterable
from typing import Any

from local_sagemaker.storage.logs import Logs

_SECONDS = 20.0


class Tail:
    """A WSGI application around moto's CloudWatch Logs."""

    def __init__(self, moto: Any, logs: Logs):
        """Take moto's application, and the streams that are written."""
        self._moto, self._logs = moto, logs

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        """Answer a GetLogEvents."""
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length)
        deadline = time.monotonic() + _SECONDS
        while True:
            open_now = self._waits(body)
            head, content = self._ask({**environ, "wsgi.input": io.BytesIO(body)})
            if not open_now or time.monotonic() > deadline or not _is_empty(content):
                start(*head)
                return [content]
            self._logs.wait(1.0)

    def _ask(self, environ: dict[str, Any]) -> tuple[Any, bytes]:
        """Return status and headers, and the body, of moto's answer."""
        caught: list[Any] = []
        content = b"".join(self._moto(environ, lambda *head: caught.append(head)))
        return caught[0], content

    def _waits(self, body: bytes) -> bool:
        """Return whether a request follows on from another, and its stream is being written."""
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
