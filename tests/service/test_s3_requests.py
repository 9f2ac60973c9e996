"""Each operation of S3 with a body that it cannot take, and those that are not offered."""

import uuid
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests
from botocore.loaders import Loader
from botocore.model import ServiceModel

from support.job import PATIENCE

MODEL = ServiceModel(Loader().load_service_model("s3", "service-2"))
OPERATIONS = {name: MODEL.operation_model(name) for name in MODEL.operation_names}
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=a/20261127/us-east-1/s3/aws4_request, x"}
REFUSED = {
    *("abac", "analytics", "annotation", "intelligent-tiering", "metadataAnnotationTable"),
    *("metadataConfiguration", "metadataInventoryTable", "metadataJournalTable", "metadataTable"),
    *("metrics", "renameObject", "requestPayment", "session", "torrent"),
}


def query(name: str) -> str:
    return str(OPERATIONS[name].http["requestUri"]).partition("?")[2]


def takes_xml(name: str) -> bool:
    shape = OPERATIONS[name].input_shape
    payload = shape and shape.serialization.get("payload")
    return bool(payload) and shape.members[payload].type_name == "structure"


XML = [name for name in OPERATIONS if takes_xml(name) and name != "WriteGetObjectResponse"]
OTHERS = [name for name in OPERATIONS if REFUSED & parse_qs(query(name), True).keys()]
OTHERS.append("UpdateObjectEncryption")


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"odd-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="k", Body=b"kept")
    return name


def send(service: Any, bucket: str, name: str, body: bytes) -> requests.Response:
    http = OPERATIONS[name].http
    key = "/k" if "{Key+}" in http["requestUri"] else ""
    url = f"{service.url}/{bucket}{key}?{query(name)}"
    return requests.request(http["method"], url, data=body, headers=SIGNED, timeout=PATIENCE)


@pytest.mark.parametrize("name", XML)
def test_a_body_that_is_not_the_operation_s_xml_is_an_error_of_the_caller(
    service, s3, bucket, name
):
    for body in (b"<x", b"<a/>", b"", b"\xff\x00", b"{}", b"<a/><a/>"):
        status = send(service, bucket, name, body).status_code
        assert status < 500 or status == 501, body
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"kept"


@pytest.mark.parametrize("name", OTHERS)
def test_what_moto_would_take_for_another_operation_is_refused_by_name(service, s3, bucket, name):
    got = send(service, bucket, name, b"other")
    assert got.status_code == 501
    if got.request.method != "HEAD":
        assert "<Code>NotImplemented</Code>" in got.text
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"kept"


@pytest.mark.parametrize("path", ["", "/new", "?acl", "/k?acl"])
def test_an_unknown_acl_is_refused(service, bucket, path):
    url = f"{service.url}/{bucket}{path}"
    headers = {**SIGNED, "x-amz-acl": "public"}
    got = requests.put(url, headers=headers, timeout=PATIENCE)
    assert got.status_code == 400
    assert "x-amz-acl must be private, public-read" in got.text


def test_a_post_to_a_key_needs_a_query(service, bucket):
    got = requests.post(f"{service.url}/{bucket}/k", headers=SIGNED, timeout=PATIENCE)
    assert (got.status_code, "<Code>MethodNotAllowed</Code>" in got.text) == (405, True)
