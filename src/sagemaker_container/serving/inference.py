"""One request to /invocations, from bytes to bytes; knows nothing of HTTP but two headers."""

from factorization_machines import top_k
from factorization_machines.scoring import Scorer
from sagemaker_container.serving.content_types import top_k_options
from sagemaker_container.serving.content_types.encoders import json_lines_of, json_of
from sagemaker_container.serving.content_types.json_body import load, rows_of
from sagemaker_container.serving.content_types.negotiation import (
    JSON,
    JSON_LINES,
    WRITERS,
    accepted,
    reader,
)

TOP_K = b'"top_k"'


def answer(
    scorer: Scorer, body: bytes, content_type: str | None, accept: str | None, *, batch: bool
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
            top = top_k_options.parse(content["top_k"], scorer.feature_dim)
            rows = rows_of(content["instances"], body, scorer.feature_dim)
            best = top_k.rank(scorer, rows, top)
            return kind, json_of(best) if kind == JSON else json_lines_of(best)
    kind = accepted(accept, preferred)
    scores, labels = scorer.predict(read(body, scorer.feature_dim))
    return kind, WRITERS[kind](scores, labels)
