"""Lays out /opt/ml for one job, as the service does before it starts a container."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from sagemaker_container.contract.paths import OptMl

REASON_LENGTH = 1024  # what the service shows of output/failure


def lay_out(
    base: Path,
    hyperparameters: Mapping[str, str],
    channels: Mapping[str, Mapping[str, str]],
    host: str = "algo-1",
    hosts: Sequence[str] = ("algo-1",),
) -> OptMl:
    """Make the folders and the three configuration files of a job on one host.

    Args:
        base: what becomes /opt/ml; made if it is not there.
        hyperparameters: every value a string, as the service passes them.
        channels: channel name to its entry of inputdataconfig.json. The channels' folders are
            made, empty.
        host: this host's name.
        hosts: all hosts' names.
    """
    job = OptMl(base)
    for folder in (job.config, job.model, job.output_data, *map(job.channel, channels)):
        folder.mkdir(parents=True, exist_ok=True)
    job.hyperparameters.write_text(json.dumps(dict(hyperparameters)))
    job.input_data_config.write_text(
        json.dumps({name: {"TrainingInputMode": "File", **how} for name, how in channels.items()})
    )
    job.resource_config.write_text(json.dumps({"current_host": host, "hosts": list(hosts)}))
    return job


def failure_reason(job: OptMl, exit_code: int) -> str:
    """Return what the service would show for a job that ended with this code."""
    try:
        text = job.failure.read_text(errors="replace").strip()
    except OSError:
        text = ""
    return text[:REASON_LENGTH] or f"AlgorithmError: exit code {exit_code}, and no failure file."
