"""One request to /invocations, from bytes to bytes; knows nothing of HTTP but two headers."""

from factorization_machines import top_k
from factorization_machines.scoring import Predictor
from sagemaker_container.serving.content_types import top_k_options
from sagemaker_container.serving.content_types.encoders import to_json, to_json_lines
from sagemaker_container.serving.content_types.json_body import load, rows_of
from sagemaker_container.serving.content_types.negotiation import (
    ENCODERS,
    JSON,
    JSON_LINES,
    accepted,
    reader,
)

TOP_K = b'"top_k"'


def answer(
    predictor: Predictor, body: bytes, content_type: str | None, accept: str | None, *, batch: bool
) -> tuple[str, bytes]:
    """Return the media type and the content of an answer.

    Where the request does not say what it accepts, it gets JSON; JSON Lines for JSON Lines, and in
    batch transform, whose results are put together line by line.

    Raises: UserError that says what is wrong with the request.
    """
    name, read = reader(content_type)
    preferred = JSON_LINES if batch or name == JSON_LINES else JSON
    if name == JSON and TOP_K in body:
        content = load(body)
        if "top_k" in content:
            kind = accepted(accept, preferred, (JSON, JSON_LINES))
            top = top_k_options.parse(content["top_k"], predictor.feature_dim)
            rows = rows_of(content["instances"], body, predictor.feature_dim)
            best = top_k.rank(predictor, rows, top)
            return kind, to_json(best) if kind == JSON else to_json_lines(best)
    kind = accepted(accept, preferred)
    scores, labels = predictor.predict(read(body, predictor.feature_dim))
    return kind, ENCODERS[kind](scores, labels)
