"""The network interface of this host, and the address of another."""

import fcntl
import ipaddress
import socket
import struct
import time

from factorization_machines.errors import PlatformError

# Linux: the IPv4 address and the netmask of an interface.
_SIOCGIFADDR, _SIOCGIFNETMASK = 0x8915, 0x891B
_RETRY = 0.1  # seconds between two attempts to connect


def own_interface(host: str, name: str | None, peer: str) -> str:
    """Return the name of the network interface at which other hosts reach this one.

    That is the interface with the given name, if it exists (SDK v3 names one that does not). Else
    it is the one of the address that the host name resolves to, if that is an address of this
    machine. Else it is the one that packets to `peer` leave by.

    Raises: PlatformError if no interface has that address.
    """
    networks = _networks()
    if name in networks:
        return str(name)
    address = ipaddress.IPv4Address(_own_address(host, peer))
    # An interface of the loopback or one with aliases has more addresses than its first.
    matches = [name for name, network in networks.items() if address in network.network]
    if not matches:
        raise PlatformError(f"no network interface has the address {address} of host {host!r}")
    return max(
        matches, key=lambda name: (networks[name].ip == address, networks[name].network.prefixlen)
    )


def _own_address(host: str, peer: str) -> str:
    try:
        address = socket.gethostbyname(host)
        with socket.socket() as probe:
            probe.bind((address, 0))  # fails if it is an address of another machine
        return address
    except OSError:
        pass
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((peer, 9))  # sends nothing
        return str(probe.getsockname()[0])


def _networks() -> dict[str, ipaddress.IPv4Interface]:
    """Return the first IPv4 address and network of each interface that has one."""
    networks = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode())
            try:
                address, mask = (
                    socket.inet_ntoa(fcntl.ioctl(probe.fileno(), code, request)[20:24])
                    for code in (_SIOCGIFADDR, _SIOCGIFNETMASK)
                )
            except OSError:  # it has no IPv4 address
                continue
            networks[name] = ipaddress.IPv4Interface(f"{address}/{mask}")
    return networks


def wait_until_reachable(host: str, port: int, timeout: float) -> str:
    """Return the address of a host once it accepts connections; it may start later than this one.

    Raises: PlatformError if it does not within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            address = socket.gethostbyname(host)
        except OSError as error:
            reason = f"its name does not resolve ({error.strerror or error})"
        else:
            try:
                socket.create_connection((address, port), timeout=1).close()
                return address
            except OSError as error:
                reason = f"{address} port {port}: {error.strerror or error}"
        if time.monotonic() > deadline:
            raise PlatformError(f"host {host!r} cannot be reached within {timeout:g} s: {reason}")
        time.sleep(_RETRY)
