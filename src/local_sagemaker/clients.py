"""Clients shaped like boto3's for SageMaker, that run `train` and `serve` on this machine."""

import io
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from local_sagemaker.errors import LocalError
from local_sagemaker.legacy_jobs import Endpoint, run_training

_T = TypeVar("_T")
_ARN = "arn:aws:sagemaker:us-east-1:000000000000:"


class SageMakerClient:
    """The calls of boto3's SageMaker client that training and hosting one model take.

    Requests and answers have boto3's shapes. A training job runs to its end within the call that
    creates it, as in the SDK's local mode.
    """

    def __init__(self, s3: Any, train: Sequence[str], serve: Sequence[str]):
        """Keep a boto3 S3 client, and the commands that run the container's train and serve."""
        self._s3, self._train, self._serve = s3, train, serve
        self._jobs: dict[str, dict[str, Any]] = {}
        self._models: dict[str, dict[str, Any]] = {}
        self._configs: dict[str, dict[str, Any]] = {}
        self._endpoints: dict[str, dict[str, Any]] = {}
        self._servers: dict[str, Endpoint] = {}

    def create_training_job(self, **request: Any) -> dict[str, Any]:
        """Run the job; its output goes to standard output."""
        name = request["TrainingJobName"]
        started = _now()
        outcome = run_training(request, self._s3, self._train, _print)
        description: dict[str, Any] = {
            **request,
            "TrainingJobArn": f"{_ARN}training-job/{name}",
            "TrainingJobStatus": "Failed" if outcome.model is None else "Completed",
            "SecondaryStatus": "Failed" if outcome.model is None else "Completed",
            "CreationTime": started,
            "TrainingStartTime": started,
            "TrainingEndTime": _now(),
        }
        if outcome.model is None:
            description["FailureReason"] = outcome.reason
        else:
            description["ModelArtifacts"] = {"S3ModelArtifacts": outcome.model}
        self._jobs[name] = description
        return {"TrainingJobArn": description["TrainingJobArn"]}

    def describe_training_job(self, *, TrainingJobName: str) -> dict[str, Any]:
        """Return what is known of the job."""
        return _known(self._jobs, TrainingJobName, "training job", "DescribeTrainingJob")

    def create_model(self, **request: Any) -> dict[str, Any]:
        """Remember the model."""
        return self._remember(self._models, "Model", request)

    def describe_model(self, *, ModelName: str) -> dict[str, Any]:
        """Return the model as it was created."""
        return _known(self._models, ModelName, "model", "DescribeModel")

    def delete_model(self, *, ModelName: str) -> None:
        """Forget the model."""
        self.describe_model(ModelName=ModelName)
        del self._models[ModelName]

    def create_endpoint_config(self, **request: Any) -> dict[str, Any]:
        """Remember the endpoint configuration."""
        return self._remember(self._configs, "EndpointConfig", request)

    def describe_endpoint_config(self, *, EndpointConfigName: str) -> dict[str, Any]:
        """Return the endpoint configuration as it was created."""
        return _known(self._configs, EndpointConfigName, "endpoint configuration", "Describe")

    def delete_endpoint_config(self, *, EndpointConfigName: str) -> None:
        """Forget the endpoint configuration."""
        self.describe_endpoint_config(EndpointConfigName=EndpointConfigName)
        del self._configs[EndpointConfigName]

    def create_endpoint(self, **request: Any) -> dict[str, Any]:
        """Start `serve` with the configuration's model, and wait until it is in service."""
        config = self.describe_endpoint_config(EndpointConfigName=request["EndpointConfigName"])
        variants = config["ProductionVariants"]
        model = self.describe_model(ModelName=variants[0]["ModelName"])
        description = {"ProductionVariants": variants, "EndpointStatus": "InService"}
        name = request["EndpointName"]
        try:
            self._servers[name] = Endpoint(model["PrimaryContainer"], self._s3, self._serve, _print)
        except LocalError as error:
            description |= {"EndpointStatus": "Failed", "FailureReason": str(error)}
        return self._remember(self._endpoints, "Endpoint", request | description)

    def describe_endpoint(self, *, EndpointName: str) -> dict[str, Any]:
        """Return the endpoint's status."""
        return _known(self._endpoints, EndpointName, "endpoint", "DescribeEndpoint")

    def delete_endpoint(self, *, EndpointName: str) -> None:
        """End the endpoint's process."""
        self.describe_endpoint(EndpointName=EndpointName)
        del self._endpoints[EndpointName]
        if server := self._servers.pop(EndpointName, None):
            server.stop()

    def server(self, name: str) -> Endpoint:
        """Return the running endpoint, or raise as InvokeEndpoint does."""
        return _known(self._servers, name, "endpoint", "InvokeEndpoint")

    def _remember(
        self, known: dict[str, dict[str, Any]], kind: str, request: Mapping[str, Any]
    ) -> dict[str, Any]:
        name = request[f"{kind}Name"]
        if name in known:
            message = f"Cannot create already existing {kind.lower()} {name}"
            raise _client_error("ValidationException", message, f"Create{kind}")
        arn = {f"{kind}Arn": f"{_ARN}{kind.lower()}/{name}"}
        known[name] = {**request, **arn, "CreationTime": _now()}
        return arn


class RuntimeClient:
    """boto3's SageMaker runtime client, for the endpoints of a SageMakerClient."""

    config: Any = None  # LocalSession writes to it

    def __init__(self, client: SageMakerClient):
        self._client = client

    def invoke_endpoint(
        self,
        *,
        EndpointName: str,
        Body: bytes | str,
        ContentType: str | None = None,
        Accept: str | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        """Pass the body to the endpoint; an answer other than 200 is raised as ModelError."""
        server = self._client.server(EndpointName)
        wanted = {"Content-Type": ContentType, "Accept": Accept}
        headers = {name: value for name, value in wanted.items() if value}
        body = Body.encode() if isinstance(Body, str) else Body
        status, content_type, answer = server.invoke(body, headers)
        if status != 200:
            text = answer.decode(errors="replace")
            side = "client" if status < 500 else "server"
            message = f'Received {side} error ({status}) from primary with message "{text}".'
            raise _client_error(
                "ModelError",
                message,
                "InvokeEndpoint",
                OriginalStatusCode=status,
                OriginalMessage=text,
            )
        return {"Body": io.BytesIO(answer), "ContentType": content_type}


def _known(known: Mapping[str, _T], name: str, kind: str, call: str) -> _T:
    if name not in known:
        raise _client_error("ValidationException", f'Could not find {kind} "{name}".', call)
    return known[name]


def _client_error(code: str, message: str, call: str, **more: Any) -> Exception:
    error = ClientError({"Error": {"Code": code, "Message": message}, **more}, call)
    return error  # type: ignore[no-any-return]


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
