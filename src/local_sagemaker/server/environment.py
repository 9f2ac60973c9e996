"""What a shell needs so that unchanged code reaches the service and nothing else."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from local_sagemaker.context import KEY_ID, REGION, SECRET

_SETTINGS = """\
SchemaVersion: '1.0'
SageMaker:
  PythonSDK:
    Modules:
      TelemetryOptOut: true
"""


def variables(state: Path, url: str) -> dict[str, str]:
    """Return the environment variables for code that knows nothing of the service.

    They point at files in the state folder, which are written here.
    """
    bundle = str(state / "ca" / "ca-bundle.pem")
    settings = state / "sagemaker-sdk.yaml"
    settings.write_text(_SETTINGS)
    nothing = state / "aws-config"
    nothing.write_text("")  # a profile of the user's would send requests elsewhere
    here = "127.0.0.1,localhost"
    return {
        "HTTPS_PROXY": url,
        "https_proxy": url,
        "NO_PROXY": here,
        "no_proxy": here,
        "AWS_CA_BUNDLE": bundle,
        "REQUESTS_CA_BUNDLE": bundle,
        "SSL_CERT_FILE": bundle,
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": "local",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_CONFIG_FILE": str(nothing),
        "AWS_SHARED_CREDENTIALS_FILE": str(nothing),
        "AWS_EC2_METADATA_DISABLED": "true",
        "SAGEMAKER_ADMIN_CONFIG_OVERRIDE": str(settings),
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(settings),
        "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
    }


def shell(values: Mapping[str, str]) -> str:
    """Return lines for a shell to eval."""
    lines = ["unset AWS_PROFILE AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 AWS_ENDPOINT_URL_SAGEMAKER"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    return "\n".join(lines) + "\n"
