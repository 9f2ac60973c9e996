"""The listening port: plain HTTP, and an HTTPS proxy that terminates its tunnels."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import BaseWSGIServer, make_server

from local_sagemaker.server.certificate_authority import CertificateAuthority

_LINGER_SECONDS = 2.0
Reachable = Callable[[str], bool]


class Handler(MotoRequestHandler):
    """Werkzeug's handler; CONNECT starts TLS on the same connection."""

    authority: CertificateAuthority
    reachable: Reachable
    timeout = 120  # seconds; an idle connection occupies a thread
    error_content_type, error_message_format = "text/plain", "%(message)s\n"

    def parse_request(self) -> bool:
        """Return whether the request can be answered; else send the status 400."""
        if not super().parse_request():
            return False
        self.path = self.requestline.split()[1]  # http.server changes "//key", a key of S3
        try:
            urlsplit(self.path)
        except ValueError as error:
            self.send_error(400, f"{self.path}: {error}")
            return False
        return True

    def do_CONNECT(self) -> None:
        """Terminate the tunnel if the host is one that the service replaces; else reject it."""
        host = self.path.rpartition(":")[0].strip("[]").lower()
        if not type(self).reachable(host):
            text = f"{host} is not a host of AWS, and this proxy has no other hosts.\n".encode()
            self.send_response(403, "Forbidden by the local SageMaker service")
            self.send_header("Content-Length", str(len(text)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(text)
            self.close_connection = True
            return
        self.send_response_only(200, "Connection Established")
        self.end_headers()
        self.wfile.flush()
        context = self.authority.context(host)
        try:
            self.connection = context.wrap_socket(self.connection, server_side=True)
        except (ssl.SSLError, OSError):  # the client does not trust the authority
            self.close_connection = True
            return
        self.rfile = self.connection.makefile("rb", self.rbufsize)
        self.wfile = self.connection.makefile("wb", 0)
        self.close_connection = False

    def make_environ(self) -> dict[str, Any]:
        """Return the WSGI environment, in which a request from a tunnel is marked."""
        environ: dict[str, Any] = super().make_environ()
        if isinstance(self.connection, ssl.SSLSocket):
            environ["wsgi.url_scheme"] = "https"
            environ["local_sagemaker.tunnel"] = True
        return environ

    def finish(self) -> None:
        """Close the connection, and the tunnel's socket, which the server does not have.

        What the client still sends is read first: a client whose connection is closed while it
        sends a body gets an error in place of the response.
        """
        with contextlib.suppress(OSError):
            super().finish()
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_LINGER_SECONDS)
            deadline = time.monotonic() + _LINGER_SECONDS
            while time.monotonic() < deadline and self.connection.recv(1 << 16):
                pass
        if isinstance(self.connection, ssl.SSLSocket):
            with contextlib.suppress(OSError):
                self.connection.close()

    def log(self, *_: Any) -> None:
        """Do nothing: a line for each request would hide the other messages."""

    log_request = log  # type: ignore[assignment]


class Server:
    """The listening server; each connection has a thread."""

    def __init__(
        self, host: str, port: int, app: Any, authority: CertificateAuthority, reachable: Reachable
    ):
        """Bind the port; 0 chooses a free port.

        Raises: OSError if the port is in use.
        """
        handler = type(
            "BoundHandler",
            (Handler,),
            {"authority": authority, "reachable": staticmethod(reachable)},
        )
        try:
            self._server: BaseWSGIServer = make_server(
                host, port, app, threaded=True, request_handler=handler
            )
        except SystemExit as error:  # werkzeug exits if the port is in use
            raise OSError(f"port {port} of {host} is in use; choose another with --port") from error
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        self.host, self.port = host, int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """The URL for clients on this machine."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104
        return f"http://{host}:{self.port}"

    def start(self) -> None:
        """Start to answer requests."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the server and free the port."""
        self._server.shutdown()
        self._server.server_close()
