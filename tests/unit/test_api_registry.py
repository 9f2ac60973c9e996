"""The registry of SageMaker's operations: complete, without overlap, and documented."""

from pathlib import Path

import pytest

from local_sagemaker.api import coverage, dispatch, validation
from local_sagemaker.api.refusals import GROUPS, REFUSED
from local_sagemaker.context import Caller
from local_sagemaker.errors import ServiceError
from local_sagemaker.server import protocol

OPERATIONS = [name for s in validation.SERVICES for name in validation.model(s).operation_names]
DOCS = Path(__file__).parents[2] / "docs"


def test_each_operation_of_botocore_is_in_exactly_one_class():
    names = [name for group in GROUPS for name in group.operations()]
    names += [*dispatch.EXECUTED, *dispatch.RECORDED]
    assert set(OPERATIONS) <= set(names)  # an older botocore has fewer
    assert len(names) == len(set(names))


def test_an_operation_has_the_handler_of_its_name():
    for name, handler in {**dispatch.EXECUTED, **dispatch.RECORDED}.items():
        assert handler.__name__.replace("_", "") == name.lower()


def test_a_refusal_names_the_operation_and_what_to_do_instead():
    for operation, group in REFUSED.items():
        with pytest.raises(ServiceError) as raised:
            dispatch.call(None, operation, {}, Caller())
        assert (raised.value.code, raised.value.status) == ("NotImplemented", 501)
        assert operation in raised.value.message
        assert raised.value.message.endswith(group.advice)


def test_an_operation_of_a_newer_api_is_refused_too():
    with pytest.raises(ServiceError, match="CreateSomethingNew") as raised:
        dispatch.call(None, "CreateSomethingNew", {}, Caller())
    assert raised.value.code == "UnknownOperationException"


def test_the_page_of_the_coverage_is_current():
    assert (DOCS / "api-coverage.md").read_text() == coverage.markdown()


def environ(method="POST", path="/", service="", **more):
    if service:
        scope = f"Credential=id/20260101/eu-west-1/{service}/aws4_request"
        more["HTTP_AUTHORIZATION"] = f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host"
    return {"REQUEST_METHOD": method, "PATH_INFO": path, **more}


@pytest.mark.parametrize(
    ("request_environ", "name"),
    [
        (environ(HTTP_X_AMZ_TARGET="SageMaker.ListModels"), "ListModels"),
        (environ(path="/endpoints/a/invocations"), "InvokeEndpoint"),
        (
            environ(path="/endpoints/a/async-invocations", service="sagemaker"),
            "InvokeEndpointAsync",
        ),
        (environ("PUT", "/BatchPutMetrics", "sagemaker"), "BatchPutMetrics"),
    ],
)
def test_a_request_names_its_operation(request_environ, name):
    operation = protocol.operation(request_environ)
    assert operation is not None and operation.name == name


@pytest.mark.parametrize(
    "request_environ",
    [
        environ("PUT", "/endpoints/a/invocations", "s3"),
        environ("POST", "/endpoints/a/invocations", "s3"),
        environ("GET", "/bucket/key"),
        environ(HTTP_X_AMZ_TARGET="Logs_20140328.GetLogEvents", service="logs"),
    ],
)
def test_a_request_to_another_service_names_none(request_environ):
    assert protocol.operation(request_environ) is None


@pytest.mark.parametrize(
    "request_environ",
    [
        environ("POST", "/", "sagemaker"),
        environ("GET", "/endpoints/a/invocations", "sagemaker"),
        environ("POST", "/", HTTP_HOST="api.sagemaker.us-east-1.amazonaws.com"),
        environ("POST", "/", QUERY_STRING="X-Amz-Credential=id%2F20260101%2Fx%2Fsagemaker%2Fy"),
    ],
)
def test_a_request_to_sagemaker_without_an_operation_reaches_nothing_else(request_environ):
    with pytest.raises(ServiceError) as raised:
        protocol.operation(request_environ)
    assert raised.value.code == "UnknownOperationException"


def test_a_runtime_request_is_parsed_and_its_response_written():
    operation = protocol.operation(environ(path="/endpoints/a%20b/invocations"))
    assert operation is not None
    headers = {"CONTENT_TYPE": "text/csv", "HTTP_X_AMZN_SAGEMAKER_TARGET_VARIANT": "v"}
    assert operation.parse(headers, b"1,2") == {
        "Body": b"1,2",
        "ContentType": "text/csv",
        "TargetVariant": "v",
        "EndpointName": "a b",
    }
    response = {"Body": b"0.5", "ContentType": "text/csv", "InvokedProductionVariant": "v"}
    assert operation.serialize(response) == (
        {"Content-Type": "text/csv", "x-Amzn-Invoked-Production-Variant": "v"},
        b"0.5",
    )
