"""Many hosts, without processes: whose rows are whose, and which address is whose."""

import socket
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factorization_machines.batching import batch_bounds
from factorization_machines.engines import network
from factorization_machines.engines.shares import Shares
from factorization_machines.engines.single_process import Alone
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


def test_the_interface_that_the_job_names_is_taken_where_it_exists() -> None:
    assert network.own_address("no-such-host.invalid", "lo", "127.0.0.1") == "127.0.0.1"


def test_else_what_the_own_name_stands_for_where_that_is_here() -> None:
    assert network.own_address("127.0.0.9", "ethwe", "127.0.0.1") == "127.0.0.9"
    assert network.own_address("127.0.0.9", None, "127.0.0.1") == "127.0.0.9"


@pytest.mark.parametrize("name", ["192.0.2.1", "no-such-host.invalid"])
def test_else_where_packets_to_the_master_leave(name: str) -> None:
    assert network.own_address(name, "ethwe", "127.0.0.1") == "127.0.0.1"


def test_a_host_that_listens_later_is_reached() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        timer = threading.Timer(0.2, server.listen)
        timer.start()
        port = server.getsockname()[1]
        assert network.reach("localhost", port, time.monotonic() + 60, 60) == "127.0.0.1"
        timer.join()


def test_a_host_that_never_does_is_named_with_the_reason() -> None:
    said = r"host 'no-such\.invalid' cannot be reached within 1 s: its name does not resolve"
    with pytest.raises(PlatformError, match=said):
        network.reach("no-such.invalid", 1, time.monotonic() + 0.1, 1)
    with pytest.raises(PlatformError, match=r"127\.0\.0\.1 port 1: Connection refused"):
        network.reach("127.0.0.1", 1, time.monotonic() + 0.1, 1)


def test_alone_is_a_group_of_one() -> None:
    with Alone("a") as group:
        assert group.each(b"x") == [b"x"] and group.of_master(b"y") == b"y"
        assert group.any(True) and not group.any(False)
        assert group.numbers(np.arange(3)).tolist() == [[0, 1, 2]]
