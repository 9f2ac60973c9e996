"""What the expressions of a step refer to in an execution."""

import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local_sagemaker.errors import LocalError
from local_sagemaker.pipelines.definition import Definition
from local_sagemaker.pipelines.expressions import select
from local_sagemaker.storage.objects import split_uri
from local_sagemaker.storage.records import Record, now


class StepScope:
    """Parameters, variables, and the properties of the steps that have succeeded."""

    def __init__(
        self,
        s3: Any,
        definition: Definition,
        execution: Record,
        steps: Mapping[str, Record],
        variables: Mapping[str, str],
    ):
        """Take an execution's record, those of its steps, and the step's own variables.

        Args:
            s3: a boto3 client.
            definition: the pipeline's.
            execution: the record.
            steps: the records of the steps, by name.
            variables: further variables of `Execution`, by name.
        """
        self._s3, self._definition, self._steps = s3, definition, steps
        self._parameters = execution["Parameters"]
        self._variables: dict[str, Any] = {
            "PipelineName": execution["PipelineName"],
            "PipelineArn": execution["PipelineArn"],
            "PipelineExecutionId": execution["Execution"],
            "PipelineExecutionArn": execution["PipelineExecutionArn"],
            "StartDateTime": execution["CreationTime"],
            "CurrentDateTime": now(),
            **variables,
        }

    def get(self, path: str) -> Any:
        """Return the value of a path. Raises: LocalError if it has none."""
        root, _, rest = path.partition(".")
        if root == "Parameters":
            return self._parameters[rest]
        if root == "Execution":
            value = self._variables.get(rest)
        else:
            name, _, inner = rest.partition(".")
            value = self._property(name, inner)
        if value is None:
            raise LocalError(f"ClientError: {path} has no value.")
        return value

    def read_json(self, uri: str) -> Any:
        """Return the content of a JSON file in S3. Raises: LocalError if it cannot be read."""
        try:
            bucket, key = split_uri(uri)
            return json.loads(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        except (BotoCoreError, ClientError, ValueError, RecursionError) as error:
            raise LocalError(f"ClientError: {uri} cannot be read as JSON: {error}") from error

    def _property(self, name: str, path: str) -> Any:
        properties = self._steps[name]["Properties"]
        try:
            if path.startswith("PropertyFiles."):
                step = self._definition.steps[name]
                output, file = step.property_files[path.partition(".")[2]]
                base = select(properties, f"ProcessingOutputConfig.Outputs['{output}']")
                return f"{base['S3Output']['S3Uri'].rstrip('/')}/{file.lstrip('/')}"
            return select(properties, path)
        except LookupError:
            return None
