"""Parts of a job with several hosts: the shares of rows, and the network."""

import socket
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorization_machines.batching import batch_bounds
from factorization_machines.engines import network
from factorization_machines.engines.shares import Shares
from factorization_machines.engines.single_process import SingleProcess
from factorization_machines.errors import PlatformError


@given(st.integers(1, 300), st.integers(1, 70), st.integers(1, 5))
def test_shares_of_replicated_rows_are_the_batch(rows: int, size: int, hosts: int) -> None:
    plan = batch_bounds(rows, size)
    shares = Shares([rows] * hosts, sharded=False)
    assert shares.rows == rows
    parts = [shares.of(rank, plan) for rank in range(hosts)]
    assert (parts[0][:, 0] == plan[:, 0]).all() and (parts[-1][:, 1] == plan[:, 1]).all()
    for left, right in zip(parts, parts[1:], strict=False):
        assert (left[:, 1] == right[:, 0]).all()
    lengths = np.hstack([np.diff(part) for part in parts])
    assert (lengths.max(axis=1) - lengths.min(axis=1) <= 1).all()


@given(st.lists(st.integers(0, 200), min_size=1, max_size=5), st.integers(1, 70))
def test_sharded_rows_are_all_in_an_epoch(counts: list[int], size: int) -> None:
    shares = Shares(counts, sharded=True)
    if not shares.rows:
        return
    plan = batch_bounds(shares.rows, size)
    totals = np.zeros(len(plan), np.int64)
    for rank, count in enumerate(counts):
        part = shares.of(rank, plan)
        assert part[0, 0] == 0 and part[-1, 1] == count
        assert (part[:, 1] >= part[:, 0]).all()
        assert (part[1:, 0] == part[:-1, 1]).all()
        assert (np.diff(part)[:, 0] <= min(size, count)).all()
        totals += np.diff(part)[:, 0]
    assert (abs(totals - np.diff(plan)[:, 0]) < len(counts)).all()


def test_the_interface_of_the_job_is_used_where_it_exists() -> None:
    assert network.own_interface("no-such-host.invalid", "lo", "127.0.0.1") == "lo"


@pytest.mark.parametrize("name", ["ethwe", None])
def test_the_interface_of_the_host_name_is_used_otherwise(name: str | None) -> None:
    assert network.own_interface("127.0.0.9", name, "192.0.2.1") == "lo"


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_the_interface_of_the_route_to_the_master_is_the_last_choice(host: str) -> None:
    assert network.own_interface(host, "ethwe", "127.0.0.1") == "lo"


def test_a_host_that_starts_later_is_reached() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        timer = threading.Timer(0.2, server.listen)
        timer.start()
        port = server.getsockname()[1]
        assert network.wait_until_reachable("localhost", port, 60) == "127.0.0.1"
        timer.join()


def test_a_host_that_never_starts_is_named_with_the_reason() -> None:
    message = r"host 'no-such\.invalid' cannot be reached within 0.1 s: its name does not resolve"
    with pytest.raises(PlatformError, match=message):
        network.wait_until_reachable("no-such.invalid", 1, 0.1)
    with pytest.raises(PlatformError, match=r"127\.0\.0\.1 port 1: Connection refused"):
        network.wait_until_reachable("127.0.0.1", 1, 0.1)


def test_a_single_process_is_a_group_of_one() -> None:
    group = SingleProcess("a")
    assert group.all_gather_bytes(b"x") == [b"x"] and group.broadcast(b"y") == b"y"
    assert group.any_reduce(True) and not group.any_reduce(False)
    assert group.all_gather(np.arange(3)).tolist() == [[0, 1, 2]]
