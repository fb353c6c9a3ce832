"""The front that clients talk to: it knows every call, makes faults, keeps a log, and is told what to do at /lab.

What a call is and who answers it, each double says itself: see `Connection`.
"""

from __future__ import annotations

import http.server
import json
import os
import select
import socket
import struct
import threading
import urllib.parse
from dataclasses import dataclass, field
from typing import Any

from .faults import Rules

HELD = 60.0  # seconds that /lab/held waits when nothing else is asked for


@dataclass
class Answer:
    """What goes back to the client."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Lab:
    """What all connections share."""

    def __init__(self, more: frozenset[str] = frozenset()) -> None:
        self.rules = Rules(more)
        self._changed = threading.Condition()
        self._log: list[dict[str, Any]] = []
        self._held: list[dict[str, Any]] = []

    def note(self, entry: dict[str, Any]) -> dict[str, Any]:
        """An entry in the log, in the order in which calls came."""
        entry.update(status=None, error=None, fault=None)
        with self._changed:
            entry["number"] = len(self._log) + 1
            self._log.append(entry)
        return entry

    def log(self) -> list[dict[str, Any]]:
        with self._changed:
            return [dict(entry) for entry in self._log]

    def hold(self, entry: dict[str, Any]) -> None:
        with self._changed:
            self._held.append(entry)
            self._changed.notify_all()

    def let_go(self, entry: dict[str, Any]) -> None:
        with self._changed:
            self._held.remove(entry)

    def held(self, seconds: float) -> dict[str, Any] | None:
        """A call that is being held, as soon as there is one."""
        with self._changed:
            self._changed.wait_for(lambda: self._held, seconds)
            return dict(self._held[0]) if self._held else None

    def reset(self) -> None:
        """No rules, an empty log. What is in the account stays."""
        self.rules.put([])
        with self._changed:
            self._log.clear()


class Connection(http.server.BaseHTTPRequestHandler):
    """One connection of a client. A double says what a call is, how it is logged, and how it is answered."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    lab: Lab

    def read_call(self, headers: dict[str, str], body: bytes) -> Any:
        """The call that a request is; the rules look at its service, its action and whether it changes something."""
        raise NotImplementedError

    def entry(self, call: Any) -> dict[str, Any]:
        """What the log says of a call."""
        raise NotImplementedError

    def answer(self, call: Any, word: str, rest: str, body: bytes) -> Answer:
        """Answers a call; `word` is a fault that is an answer of its own, such as `throttle`, or nothing."""
        raise NotImplementedError

    def error_code(self, answer: Answer) -> str | None:
        """The code of an error in an answer."""
        raise NotImplementedError

    def hide(self, call: Any, answer: Answer, seconds: float) -> None:
        """What the call made is not seen for so long."""
        raise NotImplementedError

    def log_message(self, *_: Any) -> None:
        """Standard error is for what goes wrong in the double itself."""

    def any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.split("?")[0].startswith("/lab/"):
            self.control(body)
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        call = self.read_call(headers, body)
        entry = self.lab.note(self.entry(call))
        entry["fault"] = fault = self.lab.rules.fault(call)
        word, _, rest = (fault or "").partition(":")
        if word == "reset":
            self.cut()
        elif word == "hold-before":
            self.keep_waiting(entry)
        else:
            answer = self.answer(call, word, rest, body)
            entry["status"], entry["error"] = answer.status, self.error_code(answer)
            if word == "hide":
                self.hide(call, answer, float(rest))
            if word == "lose":
                self.cut()
            elif word == "hold-after":
                self.keep_waiting(entry)
            elif word == "garble":
                self.send(Answer(200, b"<html><h1>It works!", {"Content-Type": "text/html"}))
            else:
                self.send(answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = any

    def send(self, answer: Answer) -> None:
        try:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)
        except ConnectionError:
            self.close_connection = True

    def cut(self) -> None:
        """Resets the connection: the client sees no orderly end."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())

    def keep_waiting(self, entry: dict[str, Any]) -> None:
        """Answers nothing until the client is gone."""
        self.close_connection = True
        self.lab.hold(entry)
        poll = select.poll()
        poll.register(self.connection, select.POLLIN | select.POLLRDHUP)
        try:
            while True:
                poll.poll()
                if not self.connection.recv(65536):
                    return
        except ConnectionError:
            return
        finally:
            self.lab.let_go(entry)

    def control(self, body: bytes) -> None:
        url = urllib.parse.urlsplit(self.path)
        try:
            document = json.loads(body) if body else None
            result = self.command_of(f"{self.command} {url.path}", document, urllib.parse.parse_qs(url.query))
            status = 200
        except KeyError:
            status, result = 404, {"error": f"there is no {self.command} {url.path}"}
        except TimeoutError:
            status, result = 408, {"error": "no call was held in that time"}
        except ValueError as error:
            status, result = 400, {"error": str(error)}
        text = json.dumps(result, default=str).encode()
        self.send(Answer(status, text, {"Content-Type": "application/json"}))

    def command_of(self, name: str, document: Any, query: dict[str, list[str]]) -> Any:
        lab = self.lab
        match name:
            case "POST /lab/faults":
                lab.rules.put(document)
            case "GET /lab/log":
                return lab.log()
            case "GET /lab/held":
                held = lab.held(float(query.get("timeout", [str(HELD)])[0]))
                if held is None:
                    raise TimeoutError
                return held
            case "POST /lab/reset":
                lab.reset()
            case _:
                return self.more(name, document)
        return {}

    def more(self, name: str, document: Any) -> Any:
        """A route of this double alone; raises KeyError for one that is not there."""
        raise KeyError(name)


class Server(http.server.ThreadingHTTPServer):
    """Threads end with the process; many clients may call at once."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no error."""
        import sys

        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def start(connection: type[Connection], lab: Lab) -> Server:
    """A front, serving on a free port of the loopback."""
    handler = type(connection.__name__, (connection,), {"lab": lab})
    server = Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, name="front", daemon=True).start()
    return server
