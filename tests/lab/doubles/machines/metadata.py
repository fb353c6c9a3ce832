"""The metadata service of one machine, as its guest sees it at 169.254.169.254. What it answers, each cloud says itself."""

from __future__ import annotations

import http.server
import socketserver
import threading
from pathlib import Path


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers one guest."""

    protocol_version = "HTTP/1.1"
    machine: str

    def log_message(self, *_: object) -> None:
        pass

    def address_string(self) -> str:
        return self.machine

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class Service:
    """The service of one machine, at a socket that its network leads to."""

    def __init__(self, machine: str, path: Path, handler: type[Handler]) -> None:
        self._server = Server(str(path), type("Handler", (handler,), {"machine": machine}))
        threading.Thread(target=self._server.serve_forever, name=f"metadata {machine}", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
