"""Which address a host talks from, and where the others are."""

import fcntl
import socket
import struct
import time

from factorization_machines.errors import PlatformError

_SIOCGIFADDR = 0x8915  # Linux: the IPv4 address of an interface
_PAUSE = 0.1  # seconds between two attempts


def own_address(host: str, interface: str | None, towards: str) -> str:
    """Return the address that this host is to be reached at.

    It is that of the interface which the job names, where that exists: SDK v3 names one that does
    not. Else what the host's own name stands for, where that is here; else the address from which
    packets to `towards` leave.
    """
    if interface in {name for _, name in socket.if_nameindex()}:
        address = _address_of(str(interface))
        if address:
            return address
    try:
        address = socket.gethostbyname(host)
        with socket.socket() as probe:
            probe.bind((address, 0))
        return address
    except OSError:
        pass
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((towards, 9))  # sends nothing
        found: str = probe.getsockname()[0]
        return found


def _address_of(interface: str) -> str | None:
    name = struct.pack("256s", interface.encode()[:15])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            return socket.inet_ntoa(fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, name)[20:24])
        except OSError:  # it has none
            return None


def reach(host: str, port: int, until: float, waited: float) -> str:
    """Return the address of a host once it answers at a port; it may start later than this one.

    Args:
        host: the name of the host.
        port: where it listens.
        until: on the clock of time.monotonic.
        waited: how long that is, in seconds, for the message.

    Raises: PlatformError if it does not by `until`.
    """
    why = "it was not tried"
    while time.monotonic() < until:
        try:
            address = socket.gethostbyname(host)
        except OSError as error:
            why = f"its name does not resolve ({error.strerror or error})"
        else:
            try:
                socket.create_connection((address, port), timeout=1).close()
                return address
            except OSError as error:
                why = f"{address} port {port}: {error.strerror or error}"
        time.sleep(_PAUSE)
    raise PlatformError(f"host {host!r} cannot be reached within {waited:g} s: {why}")
