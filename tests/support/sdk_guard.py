"""Run a script that may reach this machine alone: python sdk_guard.py LOG SCRIPT [ARGS].

Every other host is refused, and named in LOG: a library may swallow the refusal.
"""

import runpy
import sys

HERE = ("127.0.0.1", "::1", "localhost", "", None)
log = sys.argv[1]


def only_here(event, arguments):
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:  # a Unix socket, such as the Docker engine's, is on this machine
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in HERE:
        with open(log, "a") as file:
            file.write(f"{host}\n")
        raise OSError(f"{host}: a test reaches no other host")


sys.path.pop(0)  # this folder, whose modules are named like packages
sys.argv = sys.argv[2:]
sys.addaudithook(only_here)
runpy.run_path(sys.argv[0], run_name="__main__")
