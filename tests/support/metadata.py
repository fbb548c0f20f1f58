"""A fake of Google's metadata server. It gives every caller an identity token without a signature."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "e30.eyJleHAiOjQxMDI0NDQ4MDB9.c2ln"  # three parts, valid until 2100


class MetadataServer(ThreadingHTTPServer):
    """The fake. `asked`: the paths of all requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: MetadataServer

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        is_token = "identity" in self.path
        self.send_response(200)
        self.send_header("Metadata-Flavor", "Google")
        self.send_header("Content-Type", "text/plain" if is_token else "application/json")
        self.end_headers()
        self.wfile.write((TOKEN if is_token else json.dumps({"email": "app@example.com", "scopes": []})).encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def metadata_server() -> Iterator[tuple[str, list[str]]]:
    """The address of the fake, and the paths of all requests."""
    server = MetadataServer()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}", server.asked
    finally:
        server.shutdown()
        server.server_close()
