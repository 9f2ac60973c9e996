"""S3 on this machine: moto's server on a free port of 127.0.0.1."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from moto.server import ThreadedMotoServer


@contextmanager
def s3_server() -> Iterator[str]:
    """Yield the server's address; the server and its objects end with the block."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else it prints a line per request
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()
        if server._server is not None:
            server._server.server_close()  # stop() leaves the listening socket open
