"""The formats of endpoints: captured data, event streams, metrics, and the wait for /ping."""

import datetime
import sys

import pytest
from botocore.eventstream import EventStreamBuffer

from local_sagemaker.api.event_stream import event
from local_sagemaker.backends.ping import free_port, wait_for_ping
from local_sagemaker.backends.process import ChildProcess, clean_environment
from local_sagemaker.errors import LocalError
from local_sagemaker.hosting.batches import Batches
from local_sagemaker.hosting.capture import Exchange, is_sampled
from local_sagemaker.hosting.invocation import Invocation
from local_sagemaker.hosting.metrics import metric_data, of_container, of_invocation
from local_sagemaker.hosting.model_server import Response

AT = datetime.datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=datetime.timezone.utc)


def data(options, header, content_type="text/csv; charset=utf-8", body=b"1,2"):
    config = {"CaptureOptions": [{"CaptureMode": o} for o in options]}
    config["CaptureContentTypeHeader"] = header
    request = Invocation(body, {"Content-Type": content_type})
    record = Exchange(config, request, Response(200, "a/b", None, b"x"), AT).record()
    assert record["eventMetadata"]["inferenceTime"] == "2026-01-02T03:04:05Z"
    return record["captureData"]


def test_content_type_headers_decide_the_encoding_of_captured_data():
    assert data(["Input"], {"CsvContentTypes": ["text/csv"]}) == {
        "endpointInput": {
            "observedContentType": "text/csv; charset=utf-8",
            "mode": "INPUT",
            "data": "1,2",
            "encoding": "CSV",
        }
    }
    both = data(["InputAndOutput"], {"JsonContentTypes": ["text/csv"]})
    assert both["endpointInput"]["encoding"] == "JSON"
    assert both["endpointOutput"]["data"] == "eA=="
    assert both["endpointOutput"]["encoding"] == "BASE64"
    no_text = data(["Input"], {"CsvContentTypes": ["text/csv"]}, body=b"\xff")
    assert no_text["endpointInput"]["encoding"] == "BASE64"


@pytest.mark.parametrize(
    ("config", "sampled"),
    [
        (None, False),
        ({"InitialSamplingPercentage": 100}, True),
        ({"InitialSamplingPercentage": 0}, False),
        ({"InitialSamplingPercentage": 100, "EnableCapture": False}, False),
    ],
)
def test_which_requests_are_captured(config, sampled):
    assert is_sampled(config) is sampled


def test_botocore_reads_the_event_stream():
    buffer = EventStreamBuffer()
    buffer.add_data(event("PayloadPart", b"\x00answer") + event("PayloadPart", b""))
    messages = [message.to_response_dict() for message in buffer]
    assert [message["body"] for message in messages] == [b"\x00answer", b""]
    assert messages[0]["headers"][":event-type"] == "PayloadPart"


def test_metrics_are_statistics_of_a_batch():
    measured = ((200, 10e-6, 1e-6), (400, 30e-6, 3e-6), (503, 20e-6, 2e-6))
    batch = [of_invocation(*values, instances=2) for values in measured]
    found = {
        entry["MetricName"]: entry["StatisticValues"] for entry in metric_data(("e", "v"), batch)
    }
    sums = {name: values["Sum"] for name, values in found.items()}
    assert sums == pytest.approx(
        {
            "Invocations": 3.0,
            "InvocationsPerInstance": 1.5,
            "Invocation4XXErrors": 1.0,
            "Invocation5XXErrors": 1.0,
            "InvocationModelErrors": 2.0,
            "ModelLatency": 60.0,
            "OverheadLatency": 6.0,
        }
    )
    assert found["ModelLatency"]["Maximum"] == pytest.approx(30.0)


def test_metrics_of_a_container_have_its_name():
    values = [of_container(of_invocation(400, 1e-6, 1e-6, 1)), {"ContainerLatency": 7.0}]
    found = list(metric_data(("e", "v", "c"), values))
    assert {entry["MetricName"]: entry["StatisticValues"]["Sum"] for entry in found} == {
        "Invocations": 1.0,
        "Invocation4XXErrors": 1.0,
        "Invocation5XXErrors": 0.0,
        "OverheadLatency": 1.0,
        "ContainerLatency": 7.0,
    }
    dimensions = {entry["Name"]: entry["Value"] for entry in found[0]["Dimensions"]}
    assert dimensions == {"EndpointName": "e", "VariantName": "v", "ContainerName": "c"}


def test_batches_are_sent_by_key_and_a_failure_loses_its_own_key_alone(capsys):
    sent = []

    def send(key, items):
        if key == "broken":
            raise ValueError("no")
        sent.extend((key, item) for item in items)

    batches = Batches(send)
    for item in range(3):
        batches.add("a", item)
        batches.add("broken", item)
    batches.flush()
    batches.add("b", 3)
    batches.stop()
    assert sorted(sent) == [("a", 0), ("a", 1), ("a", 2), ("b", 3)]
    assert "3 items of broken are lost" in capsys.readouterr().err


SERVER = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    codes = ["Loading", "ArtifactError"]
    def do_GET(self):
        self.send_response(503)
        self.end_headers()
        error = {"code": self.codes.pop(0), "message": "the reason"}
        self.wfile.write(json.dumps({"error": error}).encode())
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_a_model_that_cannot_be_loaded_ends_the_wait_and_one_that_loads_does_not():
    port = free_port()
    command = [sys.executable, "-c", SERVER, str(port)]
    with (
        ChildProcess(command, clean_environment(), lambda _: None) as child,
        pytest.raises(LocalError, match="/ping answered 503: the reason"),
    ):
        wait_for_ping(child, port, timeout=60)
