"""Join the job's process group, and share the rows of its channels among the hosts."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from factorization_machines.engines import network
from factorization_machines.engines.shares import Shares
from factorization_machines.engines.single_process import SingleProcess
from factorization_machines.metrics import Metrics
from factorization_machines.recordio.decoder import Rows
from sagemaker_container.contract.channels import Channel, Hosts
from sagemaker_container.contract.errors import (
    ChannelError,
    ConfigurationError,
    HyperparameterError,
)
from sagemaker_container.contract.hyperparameters import Hyperparameters
from sagemaker_container.contract.log import JobLog

if TYPE_CHECKING:
    from factorization_machines.engines.process_group import ProcessGroup

    HostGroup: TypeAlias = SingleProcess | ProcessGroup

_PORT = "29500"  # torch's default


@contextlib.contextmanager
def join(hosts: Hosts, params: Hyperparameters, log: JobLog) -> Iterator["HostGroup"]:
    """Yield the group of the job's hosts, after all of them have joined.

    Raises: PlatformError that names the hosts which have not joined in time; HyperparameterError if
        a hyperparameter needs a single host; ConfigurationError if the hosts' hyperparameters
        differ.
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
        _check_same_hyperparameters(group, params.texts)
        yield group


def _check_same_hyperparameters(group: "HostGroup", texts: Mapping[str, str]) -> None:
    contents = group.all_gather_bytes(json.dumps(dict(texts)).encode())
    for name, other in zip(group.names, map(json.loads, contents), strict=True):
        different = sorted(key for key in {*other, *texts} if other.get(key) != texts.get(key))
        if different:
            key = different[0]
            raise ConfigurationError(
                f"host {name!r} has {key} {other.get(key)!r}; {group.names[group.rank]!r} has "
                f"{texts.get(key)!r}: all hosts must have the same hyperparameters"
            )


def shares(group: "HostGroup", channel: Channel, rows: Rows | None) -> Shares | None:
    """Return each host's share of a channel's rows; None if they are streamed to a single host.

    Raises: ChannelError if the channel is streamed and there are several hosts, if it is empty on
        all hosts, or if it is fully replicated and the hosts have different numbers of rows.
    """
    if rows is None:
        if group.size > 1:
            raise ChannelError(
                f"channel {channel.name!r} does not fit the memory for data on host "
                f"{group.names[group.rank]!r}, and many hosts train on no channel that is "
                "streamed: raise _memory_budget_mb or the memory, use ShardedByS3Key, or one host"
            )
        return None
    counts = group.all_gather(np.array([len(rows)], np.int64))[:, 0].tolist()
    result = Shares(counts, channel.sharded and group.size > 1)
    if result.rows == 0:
        raise ChannelError(f"channel {channel.name!r} has no records on any host")
    if not result.sharded and len(set(counts)) > 1:
        held = ", ".join(f"{n} {name}" for n, name in zip(counts, group.names, strict=True))
        raise ChannelError(
            f"channel {channel.name!r} is FullyReplicated, but not the same everywhere: {held}"
        )
    return result


def total(group: "HostGroup", metrics: Metrics) -> Metrics:
    """Return the metrics over the rows of all hosts, from those of this host's rows."""
    metrics.sums = group.all_gather(metrics.sums).sum(axis=0)
    metrics.rows = int(group.all_gather(np.array([metrics.rows], np.int64)).sum())
    return metrics
