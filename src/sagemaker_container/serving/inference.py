"""One request to /invocations: from the bytes of its body to the bytes of the response."""

from typing import Any

from factorization_machines import top_k
from factorization_machines.scoring import Predictor
from sagemaker_container.serving.content_types import top_k_options
from sagemaker_container.serving.content_types.encoders import to_json, to_json_lines
from sagemaker_container.serving.content_types.json_body import load, rows_of
from sagemaker_container.serving.content_types.negotiation import (
    ENCODERS,
    JSON,
    JSON_LINES,
    RECORDS,
    find_decoder,
    response_type,
)


def answer(
    predictor: Predictor, body: bytes, content_type: str | None, accept: str | None, *, batch: bool
) -> tuple[str, bytes]:
    """Return the content type and the content of the response.

    `content_type` and `accept` are headers of the request, None where it has none. Without an
    Accept header the response is JSON. It is JSON Lines where the request is, and in batch
    transform (`batch`). A batch transform job concatenates the responses, so the last line of a
    text then ends with a newline.

    Raises: UserError that says what is wrong with the request.
    """
    kind, content = _answer(predictor, body, content_type, accept, batch=batch)
    return kind, content + b"\n" if batch and content and kind != RECORDS else content


def _answer(
    predictor: Predictor, body: bytes, content_type: str | None, accept: str | None, *, batch: bool
) -> tuple[str, bytes]:
    name, decode = find_decoder(content_type)
    preferred = JSON_LINES if batch or name == JSON_LINES else JSON
    kind = response_type(accept, preferred)
    if name == JSON:
        content = load(body)
        if "top_k" in content:
            kind = response_type(accept, preferred, (JSON, JSON_LINES))
            return kind, _ranked(predictor, content, body, kind)
        rows = rows_of(content["instances"], body, predictor.feature_dim)
    else:
        rows = decode(body, predictor.feature_dim)
    scores, labels = predictor.predict(rows)
    return kind, ENCODERS[kind](scores, labels)


def _ranked(predictor: Predictor, content: dict[str, Any], body: bytes, kind: str) -> bytes:
    """Return the response to a request with `top_k`."""
    top = top_k_options.parse(content["top_k"], predictor.feature_dim)
    rows = rows_of(content["instances"], body, predictor.feature_dim)
    predictions = top_k.rank(predictor, rows, top)
    return to_json(predictions) if kind == JSON else to_json_lines(predictions)
