"""What moto would send out of this machine: it is refused, and images are never pulled."""

import functools
from typing import Any
from urllib.parse import urlsplit

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter

from local_sagemaker.errors import invalid
from local_sagemaker.server.moto_hooks import Arguments, refuse

_send = HTTPAdapter.send
_NOTHING_LEAVES = "nothing leaves this machine."


def close() -> None:
    """Make the HTTP client of moto's services refuse every host but this machine.

    Integrations of API Gateway have no other check.
    """

    def send(self: HTTPAdapter, request: PreparedRequest, *args: Any, **more: Any) -> Response:
        host = urlsplit(request.url or "").hostname
        if host not in ("localhost", "127.0.0.1"):  # the Docker client's is localhost
            raise invalid(f"{host} is not called: {_NOTHING_LEAVES}")
        return _send(self, request, *args, **more)

    HTTPAdapter.send = send  # type: ignore[method-assign]


def refuse_subscriptions() -> None:
    """Refuse SNS's subscriptions to web servers, mail and telephones, and its text messages."""
    from moto.sns.models import SNSBackend

    def subscription(arguments: Arguments) -> str | None:
        if (protocol := arguments["protocol"]) in ("sqs", "lambda"):
            return None
        return f"The protocol {protocol} is not offered here: {_NOTHING_LEAVES} Use sqs or lambda."

    def message(arguments: Arguments) -> str | None:
        return (
            f"SNS sends no text messages here: {_NOTHING_LEAVES}"
            if arguments["phone_number"]
            else None
        )

    refuse(SNSBackend, "subscribe", subscription)
    refuse(SNSBackend, "publish", message)


@functools.cache  # both versions need it
def refuse_mail() -> None:
    """Refuse to send mail with SES, whose requests moto answers without sending anything."""
    from moto.ses.models import SESBackend
    from moto.sesv2.models import SESV2Backend

    for backend in (SESBackend, SESV2Backend):
        for name in [name for name in dir(backend) if name.startswith("send_")]:
            refuse(backend, name, lambda _: f"SES sends no mail here: {_NOTHING_LEAVES}")


def refuse_http_streams() -> None:
    """Refuse Firehose's delivery streams to HTTP endpoints."""
    from moto.firehose.models import FirehoseBackend

    def problem(arguments: Arguments) -> str | None:
        if any(
            arguments.get(f"http_endpoint_destination_{n}") for n in ("configuration", "update")
        ):
            return f"Firehose calls no HTTP endpoint here: {_NOTHING_LEAVES} Use a bucket."
        return None

    refuse(FirehoseBackend, "create_delivery_stream", problem)
    refuse(FirehoseBackend, "update_destination", problem)


def refuse_pulls() -> None:
    """Make the Docker client of Lambda and Batch use the images that the engine has."""
    from docker.errors import ImageNotFound
    from docker.models.images import ImageCollection

    def pull(_: Any, repository: str, *args: Any, **more: Any) -> None:
        text = f"The image {repository} is not on this machine, and the service pulls none."
        raise ImageNotFound(text)

    ImageCollection.pull = pull
