"""Rejects requests from pages of other sites, and for host names that the service does not have."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

_LABELS = r"(?=.{1,253}$)([a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?\.)*"
_AWS = re.compile(_LABELS + r"(amazonaws\.com(\.cn)?|api\.aws|aws\.amazon\.com)", re.ASCII)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def is_aws(host: str) -> bool:
    """Return whether a host is one of AWS's, which the service replaces."""
    return bool(_AWS.fullmatch(host))


def problem(environ: Mapping[str, Any], names: tuple[str, ...] = ()) -> str | None:
    """Return why a request is rejected, or None.

    Browsers send the origin of a request. Other programs do not, and are allowed.

    Args:
        environ: the request's WSGI environment.
        names: host names that are allowed in addition to localhost and AWS's.
    """
    host = _host_of(str(environ.get("HTTP_HOST", "")))
    ours = host in _LOOPBACK or host in names
    if not ours and not is_aws(host):
        return f"the host {host!r} is not served here; --allowed-host {host} of `up` allows it"
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None and not _same(str(origin), environ):
        return f"requests from the origin {origin!r} are rejected"
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site in ("cross-site", "same-site") and not _is_visit(environ):
        return "requests from other sites are rejected"
    return None


def _is_visit(environ: Mapping[str, Any]) -> bool:
    """Return whether a browser opens the console itself, by a link on another site."""
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
