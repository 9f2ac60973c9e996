"""The environment variables with which unchanged code reaches the service and no other host."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from local_sagemaker.context import KEY_ID, REGION, SECRET

_SDK_SETTINGS = """\
SchemaVersion: '1.0'
SageMaker:
  PythonSDK:
    Modules:
      TelemetryOptOut: true
"""


def variables(state: Path, url: str) -> dict[str, str]:
    """Return the environment variables for code that was written for AWS.

    Some of them name files in the state folder, which this function writes.
    """
    bundle = str(state / "ca" / "ca-bundle.pem")
    sdk_settings = state / "sagemaker-sdk.yaml"
    sdk_settings.write_text(_SDK_SETTINGS)
    aws_config = state / "aws-config"
    aws_config.write_text("")  # a profile of the user could set another endpoint or account
    loopback = "127.0.0.1,localhost"
    return {
        "HTTPS_PROXY": url,
        "https_proxy": url,
        "NO_PROXY": loopback,
        "no_proxy": loopback,
        "AWS_CA_BUNDLE": bundle,
        "REQUESTS_CA_BUNDLE": bundle,
        "SSL_CERT_FILE": bundle,
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": "local",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_CONFIG_FILE": str(aws_config),
        "AWS_SHARED_CREDENTIALS_FILE": str(aws_config),
        "AWS_EC2_METADATA_DISABLED": "true",
        "SAGEMAKER_ADMIN_CONFIG_OVERRIDE": str(sdk_settings),
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(sdk_settings),
        "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
    }


def shell(values: Mapping[str, str]) -> str:
    """Return the lines for a shell to evaluate."""
    lines = ["unset AWS_PROFILE AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 AWS_ENDPOINT_URL_SAGEMAKER"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    return "\n".join(lines) + "\n"
