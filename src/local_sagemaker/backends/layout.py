"""Writes the /opt/ml of a job, as the service does before it starts a container."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from local_sagemaker.backends.base import in_container
from local_sagemaker.storage.untrusted import WrongKind, start_of_file
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


def failure_reason(hosts: Sequence[tuple[Path, str]]) -> str:
    """Return the FailureReason of a job: the text of the first failure file, or how a host ended.

    Args:
        hosts: the /opt/ml of each host that failed, and how it ended, such as "exit code 1".
    """
    ends = []
    for base, ended in hosts:
        problem = "no failure file"
        try:
            content = start_of_file(base, "output/failure", 4 * REASON_LENGTH) or b""
            if text := in_container(content.decode(errors="replace").strip(), base):
                return text[:REASON_LENGTH]
        except WrongKind as error:
            problem = str(error)
        except OSError as error:
            problem = f"the failure file cannot be read: {error.strerror}"
        ends.append(f"AlgorithmError: {ended}, and {problem}.")
    return ends[0]
