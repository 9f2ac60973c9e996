"""Run a script that may reach this machine only: python sdk_guard.py LOG SCRIPT [ARGS].

Connections to other hosts are refused and logged in LOG, since a library may hide the refusal.
"""

import os
import runpy
import sys

LOOPBACK = ("127.0.0.1", "::1", "localhost", "", None)
log = sys.argv[1]


def refuse_other_hosts(event, arguments):
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:  # a Unix socket, such as the Docker engine's, is on this machine
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in LOOPBACK:
        with open(log, "a") as file:
            file.write(f"{host}\n")
        raise OSError(f"{host}: a test reaches no other host")


sys.argv = sys.argv[2:]
# As Python does for a script; modules of this file's folder are named like packages.
sys.path[0] = os.path.dirname(sys.argv[0])
sys.addaudithook(refuse_other_hosts)
runpy.run_path(sys.argv[0], run_name="__main__")
