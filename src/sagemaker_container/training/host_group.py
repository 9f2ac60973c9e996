"""Join the job's process group, and share the rows of its channels among the hosts."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from factorization_machines import __version__
from factorization_machines.engines import network
from factorization_machines.engines.shares import Shares
from factorization_machines.engines.single_process import SingleProcess
from factorization_machines.metrics import Metrics
from factorization_machines.parameters import Parameters
from sagemaker_container.contract.channels import MODEL_CHANNEL, Channel, Hosts
from sagemaker_container.contract.errors import (
    ChannelError,
    ConfigurationError,
    HyperparameterError,
)
from sagemaker_container.contract.hyperparameters import Hyperparameters
from sagemaker_container.contract.log import JobLog
from sagemaker_container.training.checkpoints.fingerprint import digest
from sagemaker_container.training.dataset import ChannelDataset

if TYPE_CHECKING:
    from factorization_machines.engines.process_group import ProcessGroup

    HostGroup: TypeAlias = SingleProcess | ProcessGroup

_PORT = "29500"  # torch's default


@contextlib.contextmanager
def join(hosts: Hosts, params: Hyperparameters, log: JobLog) -> Iterator["HostGroup"]:
    """Yield the group of the job's hosts, after all of them have joined.

    Raises: PlatformError that names the hosts which have not joined in time; HyperparameterError if
        a hyperparameter needs a single host.
    """
    if len(hosts.names) == 1:
        yield SingleProcess(hosts.current)
        return
    for name, allowed in (("_engine", ("auto", "numba")), ("_device", ("cpu",))):
        if params.text(name) not in allowed:
            choice = " or ".join(map(repr, allowed))
            raise HyperparameterError(
                f"{name} must be {choice} on {len(hosts.names)} hosts; got {params.text(name)!r}"
            )
    # torch reads this when it is imported; HostLost says what torch would print.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")
    # Imported here because it takes a second, and a single host does not need it.
    from factorization_machines.engines.process_group import ProcessGroup

    names = sorted(hosts.names)
    log.message(f"Waiting for {len(names)} hosts: {', '.join(names)}")
    port = int(os.environ.get("MASTER_PORT", _PORT))
    timeout = params.integer("_host_timeout")
    master = "127.0.0.1"
    if hosts.current != names[0]:
        master = network.wait_until_reachable(names[0], port, timeout)
    # Without it gloo takes the address of the machine's name, which need not be the host's name.
    os.environ["GLOO_SOCKET_IFNAME"] = network.own_interface(hosts.current, hosts.interface, master)
    with ProcessGroup(hosts.current, names, master, port, timeout) as group:
        yield group


def _gather(group: "HostGroup", content: object) -> list[Any]:
    """Return the contents of all hosts, by rank; JSON carries them."""
    return [json.loads(each) for each in group.all_gather_bytes(json.dumps(content).encode())]


def check_same_job(
    group: "HostGroup",
    hyperparameters: Hyperparameters,
    channels: Mapping[str, Channel],
    model: bool,
) -> None:
    """Check that all hosts have the same hyperparameters and channels, before they read data.

    `model`: whether this host has the channel `model`.

    Raises: ConfigurationError that names all differences between two hosts.
    """
    options = {**hyperparameters.texts, "version": __version__}
    for name, channel in channels.items():
        options[f"channel {name!r}"] = "ShardedByS3Key" if channel.sharded else "FullyReplicated"
    if model:
        options[f"channel {MODEL_CHANNEL!r}"] = "FullyReplicated"
    first, *others = _gather(group, options)
    for host, other in zip(group.names[1:], others, strict=True):
        differences = [
            f"{key} {_shown(other, key)}, and {group.names[0]!r} has {_shown(first, key)}"
            for key in sorted({*first, *other})
            if first.get(key) != other.get(key)
        ]
        if differences:
            raise ConfigurationError(
                f"all hosts must have the same hyperparameters and channels; host {host!r} has "
                + "; ".join(differences)
            )


def _shown(options: Mapping[str, str], key: str) -> str:
    return repr(options[key]) if key in options else "none"


def check_same_data(
    group: "HostGroup", datasets: Mapping[str, ChannelDataset], initial: Parameters | None
) -> dict[str, Shares | None]:
    """Return each host's share of each channel; None for rows that are streamed to a single host.

    `initial`: the parameters of the channel `model`, if the job has it.

    Raises: ChannelError if a channel is streamed and there are several hosts, if it is empty on all
        hosts, or if it is fully replicated and its content differs between hosts.
    """
    many, own = group.size > 1, {}
    for name, dataset in datasets.items():
        if dataset.rows is None and many:
            raise ChannelError(
                f"channel {name!r} does not fit the memory for data on host "
                f"{group.names[group.rank]!r}, and many hosts train on no channel that is "
                "streamed: raise _memory_budget_mb or the memory, use ShardedByS3Key, or one host"
            )
        if dataset.rows is not None:
            own[name] = len(dataset.rows), dataset.digest if many else ""
    if initial is not None and many:
        own[MODEL_CHANNEL] = 0, digest(initial.w0, initial.w, initial.v)
    summaries = _gather(group, own)
    shares: dict[str, Shares | None] = dict.fromkeys(datasets)
    for name in own:
        counts, digests = zip(*(summary[name] for summary in summaries), strict=True)
        sharded = name in datasets and datasets[name].channel.sharded
        for host, count, other in zip(group.names, counts, digests, strict=True):
            if other != digests[0] and not sharded:
                raise ChannelError(
                    f"channel {name!r} is FullyReplicated, but what host {host!r} has is not what "
                    f"{group.names[0]!r} has"
                    + (f": {count} and {counts[0]} records" if count != counts[0] else "")
                )
        if name in datasets:
            shares[name] = Shares(list(counts), sharded)
            if not any(counts):
                raise ChannelError(f"channel {name!r} has no records on any host")
    return shares


def total(group: "HostGroup", metrics: Metrics) -> Metrics:
    """Return the metrics over the rows of all hosts, from those of this host's rows."""
    metrics.sums = group.all_gather(metrics.sums).sum(axis=0)
    metrics.rows = int(group.all_gather(np.array([metrics.rows], np.int64)).sum())
    return metrics
