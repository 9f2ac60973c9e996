"""SageMaker's requests and responses on the wire, by botocore's models of the services.

The SageMaker API names the operation in the header X-Amz-Target and takes JSON; the runtime and
the metrics API name it in the path, and put members into headers and the body.
"""

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from local_sagemaker.account import REGION
from local_sagemaker.api.dispatch import unknown
from local_sagemaker.api.validation import jsonable, model, shapes
from local_sagemaker.errors import ServiceError, invalid

Environ = Mapping[str, Any]
_TARGET = "SageMaker."
_CREDENTIAL = re.compile(r"Credential=[^/&]+/[^/]+/([^/]+)/([^/]+)/")
_EVENT_STREAM = "application/vnd.amazon.eventstream"
_HOST = re.compile(r"^(api|runtime|metrics)\.sagemaker\.")


@dataclass(frozen=True)
class Operation:
    """An operation that a request names, with the members that its path holds."""

    name: str
    path_members: Mapping[str, str]
    is_rest: bool
    status: HTTPStatus = HTTPStatus.OK

    @property
    def content_type(self) -> str:
        """The content type of its errors, and of its JSON responses."""
        return "application/json" if self.is_rest else "application/x-amz-json-1.1"

    def parse(self, environ: Environ, body: bytes) -> dict[str, Any]:
        """Return the members of a request.

        Raises: ServiceError if the body is not what the operation takes.
        """
        shape = shapes(self.name)[0] if self.is_rest else None
        payload = shape and shape.serialization.get("payload")
        members: dict[str, Any] = {payload: body} if payload else _json(body)
        for name, member in shape.members.items() if shape else ():
            if member.serialization.get("location") == "header":
                value = environ.get(_variable(member.serialization["name"]))
                if value:
                    members[name] = _integer(value) if member.type_name == "integer" else value
        return {**members, **self.path_members}

    def serialize(self, response: Mapping[str, Any]) -> tuple[dict[str, str], bytes]:
        """Return the headers and the body of a response."""
        shape = shapes(self.name)[1] if self.is_rest else None
        payload = shape and shape.serialization.get("payload")
        is_stream = shape and payload and shape.members[payload].serialization.get("eventstream")
        headers = {"Content-Type": _EVENT_STREAM if is_stream else self.content_type}
        rest = dict(response)
        for name, member in shape.members.items() if shape else ():
            if member.serialization.get("location") == "header" and name in rest:
                headers[member.serialization["name"]] = str(rest.pop(name))
        return headers, rest[payload] if payload else json.dumps(jsonable(rest)).encode()


def operation(environ: Environ) -> Operation | None:
    """Return the operation that a request to SageMaker names; None for other services.

    Raises: ServiceError if it is a request to SageMaker that names none.
    """
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target.startswith(_TARGET):
        return Operation(target.removeprefix(_TARGET), {}, is_rest=False)
    signed_for = scope(environ)[1]
    path, method = environ.get("PATH_INFO", ""), environ.get("REQUEST_METHOD", "")
    if signed_for in ("", "sagemaker"):
        for pattern, name, http in _paths():
            if match := pattern.fullmatch(path):
                if method != http["method"]:
                    raise unknown(f"{method} {path}")
                members = {key: unquote(value) for key, value in match.groupdict().items()}
                status = HTTPStatus(http.get("responseCode", HTTPStatus.OK))
                return Operation(name, members, is_rest=True, status=status)
    no_service = target and not signed_for  # moto would take it for S3
    if (
        no_service
        or signed_for.startswith("sagemaker")
        or _HOST.match(environ.get("HTTP_HOST", "").lower())
    ):
        raise unknown(f"{method} {target or path}")
    return None


def scope(environ: Environ) -> tuple[str, str]:
    """Return the region and the service that a request is signed for; without one, "" for it."""
    signature = environ.get("HTTP_AUTHORIZATION") or unquote(environ.get("QUERY_STRING", ""))
    match = _CREDENTIAL.search(signature)
    return (match[1], match[2]) if match else (REGION, "")


@functools.cache
def _paths() -> list[tuple[re.Pattern[str], str, Mapping[str, Any]]]:
    """Return pattern, name and HTTP traits of each operation that a path names."""
    paths = []
    for service in ("sagemaker-runtime", "sagemaker-metrics"):
        for name in model(service).operation_names:
            http = model(service).operation_model(name).http
            pattern = re.sub(r"\\?\{(\w+)\\?\}", r"(?P<\1>[^/]+)", http["requestUri"])
            paths.append((re.compile(pattern), name, http))
    return paths


def _variable(header: str) -> str:
    name = header.upper().replace("-", "_")
    return name if name == "CONTENT_TYPE" else f"HTTP_{name}"


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _integer(value: str) -> int | str:
    return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else value


def _json(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body or b"{}", parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        text = f"The request body is not valid JSON: {error}"
        raise ServiceError("SerializationException", text) from error
    if not isinstance(request, dict):
        raise invalid("The request body must be a JSON object.")
    return request
