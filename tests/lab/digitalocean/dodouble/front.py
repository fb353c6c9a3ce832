"""What a call of DigitalOcean is, who answers it, and that both sides keep to the vendor's document."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

from doubles import front
from doubles.front import Answer

from .api import Api
from .contract import Contract, Operation
from .world import Refused, World

LIMIT = 5000
# What stands for an HTTP status where a rule refuses a call.
STATUS = {
    "bad_request": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "conflict": 409,
    "unprocessable_entity": 422,
    "server_error": 500,
    "service_unavailable": 503,
}


@dataclass
class Call:
    """One call, as far as faults and the log need to know it."""

    action: str
    operation: Operation | None
    method: str
    target: str
    headers: dict[str, str]
    service: str = "digitalocean"

    @property
    def changes(self) -> bool:
        return self.method != "GET"


class Lab(front.Lab):
    """What all connections share."""

    def __init__(self, world: World, token: str) -> None:
        super().__init__(frozenset({"throttle-hour", "throttle-used-up"}))
        self.world, self.token = world, token
        self.contract, self.api = Contract(), Api(world)
        self.violations: list[str] = []
        self.calls = 0

    def reset(self) -> None:
        """No rules, nothing hidden, an empty log. What is in the account stays, and so do violations."""
        with self.world.lock:
            self.world.hidden.clear()
        super().reset()


class Connection(front.Connection):
    """One connection of a client."""

    lab: Lab

    def read_call(self, headers: dict[str, str], body: bytes) -> Call:
        operation = self.lab.contract.operation(self.command, self.path)
        name = operation.name if operation else f"{self.command} {self.path}"
        return Call(name, operation, self.command, self.path, headers)

    def entry(self, call: Call) -> dict[str, Any]:
        target = call.target.removeprefix("/v2/")
        return {"service": call.service, "action": call.action, "changes": call.changes, "target": target}

    def error_code(self, answer: Answer) -> str | None:
        if answer.status < 400:
            return None
        return str(json.loads(answer.body).get("id"))

    def hide(self, call: Call, answer: Answer, seconds: float) -> None:
        document = json.loads(answer.body or b"{}")
        for name, kind in (("droplet", "droplet"), ("volume", "volume"), ("firewall", "firewall"), ("ssh_key", "key")):
            if name in document:
                self.lab.world.hide(f"{kind} {document[name]['id']}", seconds)

    def answer(self, call: Call, word: str, rest: str, body: bytes) -> Answer:
        lab = self.lab
        if word == "throttle":
            return self.error(429, "too_many_requests", "API Rate limit exceeded.", {"retry-after": "1"})
        if word in ("throttle-hour", "throttle-used-up"):
            # The hour ends in a moment, or in half of one.
            reset = {"ratelimit-reset": str(int(time.time()) + (2 if word == "throttle-hour" else 1800))}
            return self.error(429, "too_many_requests", "API Rate limit exceeded.", reset)
        if word == "error-500":
            return self.error(500, "server_error", "Unexpected server-side error")
        if word == "refuse":
            code, _, message = rest.partition(":")
            return self.error(STATUS.get(code, 422), code, message or "Refused by the lab.")
        operation = call.operation
        if operation is None:
            lab.violations.append(f"{call.action}: the document has no such operation")
            return self.error(404, "not_found", "The resource you requested could not be found.")
        query = call.target.partition("?")[2]
        pairs = dict(pair.partition("=")[::2] for pair in query.split("&") if pair)
        if wrong := lab.contract.request(operation, decoded(pairs), call.headers, body):
            lab.violations += [f"request {operation.name}: {text}" for text in wrong]
            return self.error(400, "contract", "; ".join(wrong))
        if call.headers.get("authorization") != f"Bearer {lab.token}":
            answer = self.error(401, "unauthorized", "Unable to authenticate you")
        else:
            answer = self.of_api(operation, query, body)
        if wrong := lab.contract.response(operation, answer.status, answer.headers, answer.body):
            lab.violations += [f"answer of {operation.name}: {text}" for text in wrong]
        return answer

    def of_api(self, operation: Operation, query: str, body: bytes) -> Answer:
        with self.lab.world.lock:
            try:
                status, document = self.lab.api.call(operation, query, json.loads(body) if body else None)
            except Refused as refused:
                return self.error(refused.status, refused.code, refused.message)
            text = b"" if document is None else json.dumps(document).encode()
        kind = {"Content-Type": "application/json"} if text else {}
        return Answer(status, text, {**self.limits(), **kind})

    def limits(self) -> dict[str, str]:
        self.lab.calls += 1
        return {
            "ratelimit-limit": str(LIMIT),
            "ratelimit-remaining": str(LIMIT - self.lab.calls % LIMIT),
            "ratelimit-reset": str(int(time.time()) + 3600),
        }

    def error(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Answer:
        request = str(uuid.uuid4())
        body = json.dumps({"id": code, "message": message, "request_id": request}).encode()
        kind = {"Content-Type": "application/json", "x-request-id": request}
        return Answer(status, body, {**self.limits(), **kind, **(headers or {})})

    def more(self, name: str, document: Any) -> Any:
        lab = self.lab
        with lab.world.lock:
            lab.world.settle()
            match name:
                case "GET /lab/world":
                    return picture(lab.world)
                case "GET /lab/violations":
                    return lab.violations
                case "POST /lab/account":
                    lab.world.set(document)
                case "POST /lab/empty":
                    lab.world.reset()
                case "POST /lab/somebody":
                    return self.somebody(document)
                case _:
                    raise KeyError(name)
        return {}

    def somebody(self, document: dict[str, Any]) -> Any:
        """A call of somebody else with rights in the account: past faults and log. A mistake in it is the test's."""
        method, target, body = document["method"], document["path"], document.get("body")
        operation = self.lab.contract.operation(method, target)
        if operation is None:
            raise ValueError(f"there is no {method} {target}")
        try:
            return self.lab.api.call(operation, target.partition("?")[2], body)[1] or {}
        except Refused as refused:
            raise ValueError(f"{refused.code}: {refused.message}") from refused


def decoded(pairs: dict[str, str]) -> dict[str, str]:
    from urllib.parse import unquote_plus

    return {unquote_plus(name): unquote_plus(value) for name, value in pairs.items()}


def picture(world: World) -> dict[str, Any]:
    """All that is in the account, as somebody sees it who looks from outside."""
    api = Api(world)
    droplets = []
    for droplet in world.droplets.values():
        shown = api.shown(droplet)
        shown["user_data"] = world.user_data[droplet["id"]]
        shown["keys"] = world.droplet_keys[droplet["id"]]
        shown["firewalls"] = [wall["name"] for wall in world.is_walled(droplet)]
        shown["reserved_ip"] = world.address_of(droplet["id"])
        droplets.append(shown)
    return {
        "droplets": droplets,
        "volumes": [api.shown_volume(volume) for volume in world.volumes.values()],
        "firewalls": [firewall["body"] for firewall in world.firewalls.values()],
        "reserved_ips": [
            {"ip": ip, "droplet": one["droplet_id"], "region": one["region"]} for ip, one in world.reserved.items()
        ],
        "keys": list(world.keys.values()),
        "tags": [api.shown_tag(name) for name in world.tags],
        "domains": {name: list(records.values()) for name, records in world.domains.items()},
        "projects": {
            world.projects[project]["name"]: sorted(urn for urn, of in world.assigned.items() if of == project)
            for project in world.projects
        },
        "vpcs": list(world.vpcs.values()),
    }


def start(world: World, token: str) -> front.Server:
    """The double, serving on a free port of the loopback."""
    return front.start(Connection, Lab(world, token))
