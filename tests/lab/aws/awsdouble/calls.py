"""What call an HTTP request is: service, action, parameters. Query, JSON and REST protocols alike."""

from __future__ import annotations

import functools
import json
import re
import urllib.parse
from dataclasses import dataclass, field
from typing import Any

import botocore.session

# Ids of things that EC2 makes, wherever they stand in parameters or answers.
ID = re.compile(r"\b(?:i|vol|sg|sgr|eipalloc|eipassoc|eni|key|snap|subnet|vpc|ami|igw|rtb)-[0-9a-f]{8,17}\b")
READING = ("Describe", "Get", "List", "Search", "Lookup", "Head")
TARGETS = {"AWSPriceListService": "pricing", "AmazonSSM": "ssm"}
JSON = ("pricing", "secretsmanager", "servicequotas", "ssm")


@dataclass
class Call:
    """One call, as far as faults, the log and permissions need to know it."""

    service: str
    action: str
    region: str
    parameters: dict[str, str]
    access_key: str | None = None
    document: dict[str, Any] = field(default_factory=dict)
    zone: str | None = None

    @property
    def changes(self) -> bool:
        """Whether it makes, changes or takes something away."""
        return not self.action.startswith(READING) and self.service != "sts"

    @property
    def targets(self) -> list[str]:
        """The ids that it names, sorted; of key pairs the name, of DNS the zone."""
        found = set()
        for name, value in self.parameters.items():
            if not name.startswith(("Tag", "UserData", "ClientToken")):
                found.update(ID.findall(value))
            if name == "KeyName" or name.startswith("KeyName."):
                found.add(value)
        if self.zone:
            found.add(self.zone)
        return sorted(found)


@functools.cache
def routes() -> list[tuple[str, re.Pattern[str], str]]:
    """Method and path of every action of Route 53, the most exact first."""
    model = botocore.session.get_session().get_service_model("route53")
    found = []
    for name in model.operation_names:
        http = model.operation_model(name).http
        # Some SDKs write a slash at the end, some do not.
        path = re.escape(http["requestUri"].split("?")[0].rstrip("/"))
        pattern = re.sub(r"\\\{[^}]*\\\}", "([^/]+)", path)
        found.append((http["method"], re.compile(f"{pattern}/?$"), name))
    return sorted(found, key=lambda route: route[1].pattern.count("([^/]+)"))


def read(method: str, target: str, headers: dict[str, str], body: bytes) -> Call:
    """Tells the call from a request; what is no call of AWS is of the service `unknown`."""
    path, _, query = target.partition("?")
    scope = re.search(r"Credential=([^/,]+)/[^/]*/([^/]*)/([^/]*)/", headers.get("authorization", ""))
    access_key, region, service = scope.groups() if scope else (None, "us-east-1", "unknown")
    parameters = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
    if amazon := headers.get("x-amz-target"):
        prefix, _, action = amazon.partition(".")
        try:
            document = json.loads(body or b"{}")
        except ValueError:
            document = {}
        return Call(TARGETS.get(prefix, service), action, region, parameters, access_key, document)
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        parameters.update(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True))
    if "Action" in parameters:
        return Call(service, parameters["Action"], region, parameters, access_key)
    if path.startswith("/2013-04-01/"):
        for verb, pattern, action in routes():
            if verb == method and pattern.match(path):
                zone = re.search(r"/hostedzone/([^/]+)", path)
                return Call("route53", action, region, parameters, access_key, zone=zone and zone[1])
    return Call(service, method, region, parameters, access_key)
