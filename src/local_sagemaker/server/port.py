"""One port for both ways in: plain HTTP, and a proxy whose tunnels end here."""

import contextlib
import ssl
import threading
from collections.abc import Callable
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import BaseWSGIServer, make_server

from local_sagemaker.server.certificate_authority import Authority

Reachable = Callable[[str], bool]


class Handler(MotoRequestHandler):
    """HTTP as werkzeug takes it; CONNECT begins TLS on the same connection."""

    authority: Authority
    reachable: Reachable
    timeout = 120  # an idle connection holds a thread

    def do_CONNECT(self) -> None:
        """End the tunnel here, if the host is one that this service stands in for."""
        host = self.path.rpartition(":")[0].strip("[]").lower()
        if not type(self).reachable(host):
            text = f"{host} is not a host of AWS; the local SageMaker service lets nothing out.\n"
            self.send_response(403, "Forbidden by the local SageMaker service")
            self.send_header("Content-Length", str(len(text)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(text.encode())
            self.close_connection = True
            return
        self.send_response_only(200, "Connection Established")
        self.end_headers()
        self.wfile.flush()
        context = self.authority.context(host)
        try:
            self.connection = context.wrap_socket(self.connection, server_side=True)
        except (ssl.SSLError, OSError):  # a client that does not trust the authority hangs up
            self.close_connection = True
            return
        self.rfile = self.connection.makefile("rb", self.rbufsize)
        self.wfile = self.connection.makefile("wb", 0)
        self.close_connection = False

    def make_environ(self) -> dict[str, Any]:
        """Return the WSGI environment; a request from a tunnel says so in its scheme."""
        environ: dict[str, Any] = super().make_environ()
        if isinstance(self.connection, ssl.SSLSocket):
            environ["wsgi.url_scheme"] = "https"
            environ["local_sagemaker.tunnel"] = True
        return environ

    def finish(self) -> None:
        """Close the tunnel's socket too, which the server does not know."""
        with contextlib.suppress(OSError):
            super().finish()
        if isinstance(self.connection, ssl.SSLSocket):
            with contextlib.suppress(OSError):
                self.connection.close()

    def log(self, *_: Any) -> None:
        """Say nothing: one line a request would hide all else."""


class Server:
    """The listening server, in threads of its own."""

    def __init__(self, host: str, port: int, app: Any, authority: Authority, reachable: Reachable):
        """Bind; port 0 is a free one.

        Raises: OSError where the port is taken.
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
        except SystemExit as error:  # werkzeug's answer to a port that is taken
            raise OSError(f"port {port} of {host} is taken; --port names another") from error
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        self.host, self.port = host, int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """The address for clients on this machine."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104
        return f"http://{host}:{self.port}"

    def start(self) -> None:
        """Answer requests from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering and free the port."""
        self._server.shutdown()
        self._server.server_close()
