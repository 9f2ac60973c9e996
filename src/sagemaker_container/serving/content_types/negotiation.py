"""Content negotiation: the decoder of a Content-Type, and the type of the response."""

import functools
from collections.abc import Callable, Mapping, Sequence

from factorization_machines.instances import Float32, Instances
from sagemaker_container.serving.content_types.encoders import (
    encode_csv,
    encode_json,
    encode_json_lines,
    encode_records,
)
from sagemaker_container.serving.content_types.json_body import decode_json
from sagemaker_container.serving.content_types.json_lines import decode_json_lines
from sagemaker_container.serving.content_types.recordio import read_records
from sagemaker_container.serving.content_types.text import decode_csv, decode_libsvm
from sagemaker_container.serving.errors import NotAcceptable, UnsupportedMediaType

JSON = "application/json"
JSON_LINES = "application/jsonlines"
RECORDS = "application/x-recordio-protobuf"
CSV = "text/csv"
LIBSVM = "text/libsvm"

Decoder = Callable[[bytes, int], Instances]
Encoder = Callable[[Float32, Float32 | None], bytes]

DECODERS: Mapping[str, Decoder] = {
    JSON: decode_json,
    JSON_LINES: decode_json_lines,
    RECORDS: read_records,
    CSV: decode_csv,
    LIBSVM: decode_libsvm,
}
ENCODERS: Mapping[str, Encoder] = {
    JSON: encode_json,
    JSON_LINES: encode_json_lines,
    RECORDS: encode_records,
    CSV: encode_csv,
}


@functools.lru_cache(maxsize=256)
def find_decoder(content_type: str | None) -> tuple[str, Decoder]:
    """Return the name of a content type and its decoder.

    The parameter `charset` must be utf-8. `label_size` of text/csv is the number of label columns
    before the features. Other parameters are ignored.

    Raises: UnsupportedMediaType that names what is allowed.
    """
    name, parameters = _parse(content_type or "")
    if name not in DECODERS:
        got = f"got {name!r}" if name else "the request has none"
        raise UnsupportedMediaType(f"Content-Type must be {_listed(DECODERS)}; {got}")
    charset = parameters.get("charset", "utf-8")
    if name != RECORDS and charset.lower() not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMediaType(f"charset must be utf-8; got {charset!r}")
    if name == CSV and "label_size" in parameters:
        size = parameters["label_size"]
        if not size.isascii() or not size.isdigit() or len(size) > 9:
            raise UnsupportedMediaType(f"label_size must be a whole number; got {size!r}")
        return name, functools.partial(decode_csv, label_size=int(size))
    return name, DECODERS[name]


@functools.lru_cache(maxsize=256)
def response_type(
    accept: str | None, preferred: str, available: Sequence[str] = tuple(ENCODERS)
) -> str:
    """Return the available media type that an Accept header gives the highest quality.

    Among equals it is `preferred`, then the first; without a header it is `preferred`.

    Raises: NotAcceptable if the header allows none of the available types.
    """
    if not (accept or "").strip():
        return preferred
    # (range, q) in the order of the header. The most specific range that matches a type counts.
    ranges = [
        (name, _quality(parameters)) for name, parameters in map(_parse, _split(accept or ""))
    ]
    best, best_quality = "", 0.0
    for name in (preferred, *available):
        qualities = dict(ranges)
        for media_range in (name, f"{name.partition('/')[0]}/*", "*/*"):
            if media_range in qualities:
                if qualities[media_range] > best_quality:
                    best, best_quality = name, qualities[media_range]
                break
    if not best:
        raise NotAcceptable(f"Accept must allow {_listed(available)}; got {accept!r}")
    return best


def _split(text: str) -> list[str]:
    return [part for part in text.split(",") if part.strip()]


def _parse(text: str) -> tuple[str, dict[str, str]]:
    """Return name and parameters of a media type, names in lower case."""
    name, *rest = (part.strip() for part in text.split(";"))
    pairs = (part.partition("=") for part in rest)
    return name.lower(), {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs}


def _quality(parameters: Mapping[str, str]) -> float:
    try:
        return min(max(float(parameters.get("q", "1")), 0.0), 1.0)
    except ValueError:
        return 1.0  # an invalid quality is ignored


def _listed(names: Sequence[str] | Mapping[str, object]) -> str:
    *some, last = names
    return f"{', '.join(some)} or {last}" if some else last
