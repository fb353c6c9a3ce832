"""The proxy that clients talk to: it knows every call, makes faults, keeps a log, and is told what to do at /lab."""

from __future__ import annotations

import http.client
import http.server
import json
import os
import select
import socket
import struct
import threading
import urllib.parse
from typing import Any

from . import answers, calls
from .account import ACCOUNT, THE
from .answers import Answer
from .calls import Call
from .faults import Rules
from .hiding import Hidden
from .policy import Permissions

HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "server", "date"}
HELD = 60.0  # seconds that /lab/held waits when nothing else is asked for


class Lab:
    """What all connections share."""

    def __init__(self, moto: tuple[str, int], permissions: Permissions | None) -> None:
        self.moto = moto
        self.rules, self.hidden, self.permissions = Rules(), Hidden(), permissions
        self._changed = threading.Condition()
        self._log: list[dict[str, Any]] = []
        self._held: list[dict[str, Any]] = []

    def note(self, call: Call) -> dict[str, Any]:
        """An entry in the log, in the order in which calls came."""
        entry: dict[str, Any] = {
            "service": call.service,
            "action": call.action,
            "region": call.region,
            "changes": call.changes,
            "targets": call.targets,
            "status": None,
            "error": None,
            "fault": None,
        }
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
        """No rules, nothing hidden, an empty log. The account's switches and what is in it stay."""
        self.rules.put([])
        self.hidden.clear()
        with self._changed:
            self._log.clear()


class Connection(http.server.BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    lab: Lab

    def log_message(self, *_: Any) -> None:
        """Standard error is for what goes wrong in the double itself."""

    def any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.split("?")[0].startswith("/lab/"):
            self.control(body)
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        call = calls.read(self.command, self.path, headers, body)
        entry = self.lab.note(call)
        entry["fault"] = fault = self.lab.rules.fault(call)
        word, _, rest = (fault or "").partition(":")
        if word == "reset":
            self.cut()
        elif word == "hold-before":
            self.keep_waiting(entry)
        else:
            answer = self.answer(call, word, rest, body)
            entry["status"], entry["error"] = answer.status, error_code(answer)
            if word == "hide":
                self.lab.hidden.hide(call, answer, float(rest))
            if word == "lose":
                self.cut()
            elif word == "hold-after":
                self.keep_waiting(entry)
            else:
                self.send(answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = any

    def answer(self, call: Call, word: str, rest: str, body: bytes) -> Answer:
        if word == "throttle":
            return answers.throttled(call)
        if word == "error-500":
            return answers.broken(call)
        if word == "refuse":
            code, _, message = rest.partition(":")
            return answers.refusal(call, code, message or "Refused by the lab.")
        if THE.expired:
            return answers.expired(call)
        if self.lab.permissions and (denied := self.lab.permissions.denies(call)):
            return denied
        if hidden := self.lab.hidden.refuses(call):
            return hidden
        return self.lab.hidden.strip(call, self.forward(body))

    def forward(self, body: bytes) -> Answer:
        connection = http.client.HTTPConnection(*self.lab.moto, timeout=600)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in HOP:
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.putheader("Connection", "close")
            connection.endheaders(body)
            response = connection.getresponse()
            headers = {name: value for name, value in response.getheaders() if name.lower() not in HOP}
            return Answer(response.status, response.read(), headers)
        finally:
            connection.close()

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
            case "POST /lab/account":
                self.change_account(document)
            case "POST /lab/policy" if lab.permissions is not None:
                lab.permissions.put(document)
            case _:
                raise KeyError(name)
        return {}

    def change_account(self, document: Any) -> None:
        from moto.ec2.models import ec2_backends

        from .networks import align

        if not isinstance(document, dict):
            raise ValueError("the account's switches are an object")
        THE.set(document)
        for backend in list(ec2_backends[ACCOUNT].values()):
            align(backend)


def error_code(answer: Answer) -> str | None:
    """The code of an error, from the answer in any of the protocols."""
    if answer.status < 300:
        return None
    text = answer.body.decode(errors="replace")
    if text.startswith("{"):
        return str(json.loads(text).get("__type", "")).rpartition("#")[2] or None
    return text.partition("<Code>")[2].partition("</Code>")[0] or None


class Server(http.server.ThreadingHTTPServer):
    """Threads end with the process; many clients may call at once."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no error."""
        import sys

        if not isinstance(sys.exception() if hasattr(sys, "exception") else sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def start(moto: tuple[str, int], permissions: Permissions | None) -> Server:
    """The proxy, serving on a free port of the loopback."""
    handler = type("Connection", (Connection,), {"lab": Lab(moto, permissions)})
    server = Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, name="proxy", daemon=True).start()
    return server
