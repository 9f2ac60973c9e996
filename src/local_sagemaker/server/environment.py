"""The environment variables with which unchanged code reaches the service and no other host."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from local_sagemaker.account import KEY_ID, REGION, SECRET

_SDK_SETTINGS = """\
SchemaVersion: '1.0'
SageMaker:
  PythonSDK:
    Modules:
      TelemetryOptOut: true
"""


# What each of the two ways to the service sets; one unsets what the other sets.
_PROXY = ("HTTPS_PROXY", "https_proxy", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
_ENDPOINT = ("AWS_ENDPOINT_URL",)
_NEVER = ("AWS_PROFILE", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_SAGEMAKER")


def variables(state: Path, url: str, endpoint_url: bool = False) -> dict[str, str]:
    """Return the environment variables for code that was written for AWS.

    Some of them name files in the state folder, which this function writes.

    Args:
        state: the state folder of the service.
        url: the URL of the service.
        endpoint_url: name the service in AWS_ENDPOINT_URL, for programs that ignore HTTPS_PROXY.
    """
    bundle = str(state / "ca" / "ca-bundle.pem")
    sdk_settings = state / "sagemaker-sdk.yaml"
    sdk_settings.write_text(_SDK_SETTINGS)
    aws_config = state / "aws-config"
    aws_config.write_text("")  # a profile of the user could set another endpoint or account
    loopback = "127.0.0.1,localhost"
    proxy = {name: url if name.lower() == "https_proxy" else bundle for name in _PROXY}
    return {
        **(dict.fromkeys(_ENDPOINT, url) if endpoint_url else proxy),
        "NO_PROXY": loopback,
        "no_proxy": loopback,
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


def unset(values: Mapping[str, str]) -> list[str]:
    """Return the names of variables that must not be set beside these."""
    return [name for name in (*_NEVER, *_ENDPOINT, *_PROXY) if name not in values]


def shell(values: Mapping[str, str]) -> str:
    """Return the lines for a shell to evaluate."""
    lines = [f"unset {' '.join(unset(values))}"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    return "\n".join(lines) + "\n"
