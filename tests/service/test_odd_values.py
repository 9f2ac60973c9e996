"""Each executed operation with odd values for each of its members: an error of the caller."""

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from local_sagemaker.api import validation
from local_sagemaker.api.dispatch import EXECUTED

DEEP = json.loads("[" * 300 + "]" * 300)
ODD = (None, "", "a b\n", "\ud800", "2024-01-01", True, -1, 2**40, 1e300, 10**400, [], {"a": DEEP})
TEXTS = (
    *("x", "x/1", "s3://bucket/x", "arn:aws:iam::123456789012:role/r", "1"),
    *(f"arn:aws:sagemaker:us-east-1:123456789012:model-package/{name}" for name in ("x", "x/1")),
)
OPERATIONS = [name for name in EXECUTED if name in validation.model().operation_names]


def sample(shape: Any) -> Any:
    """Return a value that fits a shape, with its required members alone."""
    if shape.type_name == "structure":
        return {name: sample(shape.members[name]) for name in shape.required_members}
    if shape.type_name == "list":
        return [sample(shape.member)]
    if shape.type_name == "map":
        return {"x": sample(shape.value)}
    if shape.type_name == "string":
        fits = (text for text in TEXTS if not list(validation._problems(text, shape, "")))
        return shape.enum[0] if shape.enum else next(fits, "x")
    if shape.type_name == "boolean":
        return False
    return max(1, shape.metadata.get("min", 1))


def odd(shape: Any, depth: int) -> Iterator[Any]:
    """Yield odd values for a shape, and fitting values with an odd member."""
    yield from ODD
    if shape.type_name == "structure" and depth:
        for name, member in shape.members.items():
            yield from ({**sample(shape), name: value} for value in odd(member, depth - 1))
    elif shape.type_name == "list" and depth:
        yield from ([value] for value in odd(shape.member, depth - 1))
    elif shape.type_name == "map":
        yield from ({"x": value} for value in ODD)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_odd_values(service, operation):
    connection = http.client.HTTPConnection(service.url.partition("://")[2], timeout=60)
    shape, _ = validation.shapes(operation)
    headers = {"X-Amz-Target": f"SageMaker.{operation}", "Content-Type": "application/json"}
    base = sample(shape)
    bodies = [
        json.dumps({**base, name: value})
        for name, member in shape.members.items()
        for value in odd(member, 1)
    ]
    bodies += ["[]", "{", "nul", "NaN", '{"a":NaN}', '"x"', "[" * 10**5, '{"a":' * 10**5]
    for body in bodies:
        connection.request("POST", "/", body, headers)
        response = connection.getresponse()
        answer = response.read()
        assert response.status < 500, (body[:2000], answer)
    connection.close()
