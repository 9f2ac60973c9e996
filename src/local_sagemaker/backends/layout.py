"""Writes the /opt/ml of a job, as the service does before it starts a container."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from local_sagemaker.backends.base import in_container
from sagemaker_container.contract.paths import OptMl

REASON_LENGTH = 1024  # characters of output/failure that the service shows


def lay_out(
    base: Path,
    hyperparameters: Mapping[str, str],
    channels: Mapping[str, Mapping[str, str]],
    host: str = "algo-1",
    hosts: Sequence[str] = ("algo-1",),
) -> OptMl:
    """Create the folders and the three configuration files of a job on one host.

    Args:
        base: the folder that becomes /opt/ml; created if it does not exist.
        hyperparameters: the values as strings, as the service passes them.
        channels: channel name to its entry of inputdataconfig.json. The folders of the channels
            are created empty.
        host: this host's name.
        hosts: the names of all hosts.
    """
    job = OptMl(base)
    for folder in (job.config, job.model, job.output_data, *map(job.channel, channels)):
        folder.mkdir(parents=True, exist_ok=True)
    job.hyperparameters.write_text(json.dumps(dict(hyperparameters)))
    entries = {name: {"TrainingInputMode": "File", **entry} for name, entry in channels.items()}
    job.input_data_config.write_text(json.dumps(entries))
    job.resource_config.write_text(json.dumps({"current_host": host, "hosts": list(hosts)}))
    return job


def failure_reason(job: OptMl, exit_code: int) -> str:
    """Return the FailureReason of a job that ended with this exit code."""
    try:
        text = in_container(job.failure.read_text(errors="replace").strip(), job.base)
    except OSError:
        text = ""
    return text[:REASON_LENGTH] or f"AlgorithmError: exit code {exit_code}, and no failure file."
