"""The proxy in front of moto: what a call of AWS is, and who answers it."""

from __future__ import annotations

import http.client
import json
from typing import Any

from doubles import front

from . import answers, calls
from .account import ACCOUNT, THE
from .answers import Answer
from .calls import Call
from .hiding import Hidden
from .policy import Permissions

HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "server", "date"}


class Lab(front.Lab):
    """What all connections share."""

    def __init__(self, moto: tuple[str, int], permissions: Permissions | None) -> None:
        super().__init__()
        self.moto = moto
        self.hidden, self.permissions = Hidden(), permissions

    def reset(self) -> None:
        """No rules, nothing hidden, an empty log. The account's switches and what is in it stay."""
        self.hidden.clear()
        super().reset()


class Connection(front.Connection):
    """One connection of a client."""

    lab: Lab

    def read_call(self, headers: dict[str, str], body: bytes) -> Call:
        return calls.read(self.command, self.path, headers, body)

    def entry(self, call: Call) -> dict[str, Any]:
        return {
            "service": call.service,
            "action": call.action,
            "region": call.region,
            "changes": call.changes,
            "targets": call.targets,
        }

    def error_code(self, answer: Answer) -> str | None:
        return error_code(answer)

    def hide(self, call: Call, answer: Answer, seconds: float) -> None:
        self.lab.hidden.hide(call, answer, seconds)

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

    def more(self, name: str, document: Any) -> Any:
        match name:
            case "POST /lab/account":
                self.change_account(document)
            case "POST /lab/policy" if self.lab.permissions is not None:
                self.lab.permissions.put(document)
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


def start(moto: tuple[str, int], permissions: Permissions | None) -> front.Server:
    """The proxy, serving on a free port of the loopback."""
    return front.start(Connection, Lab(moto, permissions))
