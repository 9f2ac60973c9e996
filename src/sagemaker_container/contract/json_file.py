"""Reads the JSON files in input/config; error messages name the file and the value."""

import json
from pathlib import Path

from factorization_machines.files import open_regular
from sagemaker_container.contract.errors import ConfigurationError


def read_object(path: Path) -> dict[str, object]:
    """Return the JSON object in a file.

    Raises: ConfigurationError if the file is missing, not JSON, or not an object.
    """
    try:
        with open_regular(path) as file:
            content = json.loads(file.read())
    except FileNotFoundError:
        raise ConfigurationError(f"{path} does not exist") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # malformed, not UTF-8, or nested too deeply
        raise ConfigurationError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path} must hold one JSON object; got {shorten(content)}")
    return content


def shorten(value: object) -> str:
    """Return a value as JSON, cut to 60 characters for an error message."""
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
