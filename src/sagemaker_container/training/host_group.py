"""The hosts of a job, met: that they are at the same job, and whose rows are whose."""

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from factorization_machines.engines.shares import Shares
from factorization_machines.engines.single_process import Alone
from factorization_machines.metrics import Metrics
from factorization_machines.recordio.decoder import Rows
from sagemaker_container.contract.channels import Channel, Hosts
from sagemaker_container.contract.hyperparameters import Hyperparameters
from sagemaker_container.contract.log import JobLog
from sagemaker_container.errors import ChannelError, ConfigurationError, HyperparameterError

if TYPE_CHECKING:
    from factorization_machines.engines.process_group import Group

    Team: TypeAlias = Alone | Group

_PORT = "29500"  # torch's own


def join(hosts: Hosts, params: Hyperparameters, log: JobLog) -> "Team":
    """Return the group of the job's hosts, once all are there; this one alone where it is.

    Raises: PlatformError that names who did not come; HyperparameterError if the hosts do not have
        the same hyperparameters, or ones that only one host can have.
    """
    if len(hosts.names) == 1:
        return Alone(hosts.current)
    for name, allowed in (("_engine", ("auto", "numba")), ("_device", ("cpu",))):
        if params.text(name) not in allowed:
            choice = " or ".join(map(repr, allowed))
            raise HyperparameterError(
                f"{name} must be {choice} on {len(hosts.names)} hosts; got {params.text(name)!r}"
            )
    # Here and not above: torch takes a second to load, and one host has no need of it.
    from factorization_machines.engines.process_group import Group

    log.message(f"Waiting for {len(hosts.names)} hosts: {', '.join(sorted(hosts.names))}")
    port = int(os.environ.get("MASTER_PORT", _PORT))
    patience = params.integer("_host_timeout")
    group = Group(hosts.current, hosts.names, hosts.interface, port, patience)
    with group:  # where they differ each says so, and none waits for another
        _same_hyperparameters(group, params.texts)
    return group


def _same_hyperparameters(group: "Team", texts: Mapping[str, str]) -> None:
    given = [json.loads(one) for one in group.each(json.dumps(dict(texts)).encode())]
    for name, theirs in zip(group.names, given, strict=True):
        different = sorted(key for key in {*theirs, *texts} if theirs.get(key) != texts.get(key))
        if different:
            key = different[0]
            raise ConfigurationError(
                f"host {name!r} has {key} {theirs.get(key)!r}; {group.names[group.rank]!r} has "
                f"{texts.get(key)!r}: all hosts must have the same hyperparameters"
            )


def shares(group: "Team", channel: Channel, rows: Rows | None) -> Shares | None:
    """Return who trains on which rows of a channel, or tests them; None for rows not in memory.

    Raises: ChannelError if there are many hosts, and the channel is not in memory here, or is empty
        on all hosts together, or what is fully replicated has another number of rows elsewhere.
    """
    if rows is None:
        if group.size > 1:
            raise ChannelError(
                f"channel {channel.name!r} does not fit the memory for data on host "
                f"{group.names[group.rank]!r}, and many hosts train on no channel that is "
                "streamed: raise _memory_budget_mb or the memory, use ShardedByS3Key, or one host"
            )
        return None
    counts = group.numbers(np.array([len(rows)], np.int64))[:, 0].tolist()
    found = Shares(counts, channel.sharded and group.size > 1)
    if found.rows == 0:
        raise ChannelError(f"channel {channel.name!r} has no records on any host")
    if not found.sharded and len(set(counts)) > 1:
        held = ", ".join(f"{n} {name}" for n, name in zip(counts, group.names, strict=True))
        raise ChannelError(
            f"channel {channel.name!r} is FullyReplicated, but not the same everywhere: {held}"
        )
    return found


def total(group: "Team", metrics: Metrics) -> Metrics:
    """Return metrics over the rows of all hosts, from each one's own."""
    metrics.sums = group.numbers(metrics.sums).sum(axis=0)
    metrics.rows = int(group.numbers(np.array([metrics.rows], np.int64)).sum())
    return metrics
