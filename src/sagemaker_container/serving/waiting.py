"""Answers 503 for as long as the model is being loaded, on the socket that the server will have."""

import contextlib
import select
import socket
import threading
import time

import orjson

from factorization_machines.errors import PlatformError

_BACKLOG = 2048  # as gunicorn's
_PATIENCE = 0.5  # seconds for a client to send its head, and to read the answer

_BODY = orjson.dumps({"error": {"code": "Loading", "message": "the model is being loaded"}})
_ANSWER = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\nRetry-After: 1\r\nConnection: close\r\n\r\n" % len(_BODY)
) + _BODY


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises: PlatformError if it cannot."""
    try:
        return socket.create_server((host, port), backlog=_BACKLOG)
    except OSError as error:
        raise PlatformError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error


class Waiting:
    """A context manager: within it every request to the socket is answered 503."""

    def __init__(self, listener: socket.socket):
        self._listener = listener
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        # Joined, and not only told: the server is about to fork, and takes the rest of the queue.
        self._wake.close()
        self._thread.join()
        self._woken.close()

    def _run(self) -> None:
        while True:
            ready, _, _ = select.select([self._listener, self._woken], [], [])
            if self._woken in ready:
                return
            with contextlib.suppress(OSError):
                client, _ = self._listener.accept()
                with client:
                    _refuse(client)


def _refuse(client: socket.socket) -> None:
    client.settimeout(_PATIENCE)
    client.recv(65536)
    client.sendall(_ANSWER)
    # What is left unread would make the kernel reset the connection, and the answer be lost.
    client.shutdown(socket.SHUT_WR)
    until = time.monotonic() + _PATIENCE
    while client.recv(65536) and time.monotonic() < until:
        pass
