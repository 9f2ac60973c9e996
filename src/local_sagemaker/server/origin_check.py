"""Which hosts and origins may talk to the service: no other site's page, by no name of its own."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

_AWS = re.compile(r"(^|\.)(amazonaws\.com(\.cn)?|api\.aws|aws\.amazon\.com)$")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def is_aws(host: str) -> bool:
    """Return whether the service stands in for this host."""
    return bool(_AWS.search(host))


def problem(environ: Mapping[str, Any], names: tuple[str, ...] = ()) -> str | None:
    """Return why a request is refused, or None.

    A browser says where a request comes from; programs say nothing, and may.

    Args:
        environ: the request's WSGI environment.
        names: host names that are allowed beside those of this machine and AWS's.
    """
    host = _host_of(str(environ.get("HTTP_HOST", "")))
    ours = host in _LOOPBACK or host in names
    if not ours and not is_aws(host):
        return f"this service does not answer for the host {host!r}"
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None and not _same(str(origin), environ):
        return f"requests from {origin!r} are refused"
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site in ("cross-site", "same-site") and not _is_visit(environ):
        return "requests from another site are refused"
    return None


def _is_visit(environ: Mapping[str, Any]) -> bool:
    """Return whether this is a person who follows a link to the console."""
    return (
        environ.get("HTTP_SEC_FETCH_MODE") == "navigate"
        and environ.get("HTTP_SEC_FETCH_DEST") == "document"
        and environ.get("REQUEST_METHOD") == "GET"
        and environ.get("PATH_INFO") in ("/", "/console", "/console/")
    )


def _same(origin: str, environ: Mapping[str, Any]) -> bool:
    parts = urlsplit(origin)
    return parts.scheme in ("http", "https") and parts.netloc == environ.get("HTTP_HOST")


def _host_of(value: str) -> str:
    value = value.strip().lower()
    if value.startswith("["):
        return value[1:].partition("]")[0]
    return value.rpartition(":")[0] if ":" in value else value
