"""A container that turns a user and a film into the features of the lab's model.

It runs before the model in a pipeline of two containers. A request has a line `user,film` for each
prediction (text/csv), or {"user": "196", "item": "242"} (application/jsonlines).
"""

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USERS, ITEMS = int(os.environ["USERS"]), int(os.environ["ITEMS"])
PORT = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", 8080))
READERS = {
    "text/csv": lambda line: line.split(","),
    "application/jsonlines": lambda line: [json.loads(line)[name] for name in ("user", "item")],
}


def instance(line, read):
    """Return the one-hot features of a line as the model's JSON."""
    try:
        user, item = map(int, read(line))
    except (ValueError, TypeError, KeyError):
        raise ValueError(f"a line must be a user and an item; got {line[:100]!r}") from None
    if not (1 <= user <= USERS and 1 <= item <= ITEMS):
        raise ValueError(f"user must be 1 to {USERS} and item 1 to {ITEMS}; got {line!r}")
    return {"features": {"keys": [user - 1, USERS + item - 1], "values": [1, 1]}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.reply(200 if self.path == "/ping" else 404, b"", "text/plain")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        media_type = self.headers.get("Content-Type", "").partition(";")[0]
        read = READERS.get(media_type)
        try:
            if read is None:
                raise ValueError(f"Content-Type must be {' or '.join(READERS)}; got {media_type!r}")
            instances = [instance(line, read) for line in body.decode().splitlines() if line]
        except ValueError as error:
            self.reply(400, str(error).encode(), "text/plain")
        else:
            self.reply(200, json.dumps({"instances": instances}).encode(), "application/json")

    def reply(self, status, content, content_type):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


signal.signal(signal.SIGTERM, lambda *_: sys.exit())
ThreadingHTTPServer(("", PORT), Handler).serve_forever()
