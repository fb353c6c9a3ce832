"""Who answers a call: a method for every operation that the provider needs, by its name in the vendor's document."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from .contract import Operation
from .operations.base import Result
from .operations.domains import Domains
from .operations.projects import Projects
from .operations.reserved import Reserved
from .operations.volumes import Volumes
from .world import Refused

# What an operation needs beside being known.
SCOPES = {
    "droplets_create": "droplet:create",
    "droplets_list": "droplet:read",
    "droplets_destroy": "droplet:delete",
    "dropletActions_post": "droplet:update",
    "firewalls_create": "firewall:create",
    "firewalls_list": "firewall:read",
    "reservedIPs_create": "reserved_ip:create",
    "volumes_create": "block_storage:create",
    "account_get": "account:read",
    "tags_create": "tag:create",
    "domains_create_record": "domain:create",
}


class Api(Volumes, Reserved, Domains, Projects):
    """Answers one call."""

    def call(self, operation: Operation, query: str, body: Any) -> Result:
        if self.world.switches["expired"]:
            raise Refused(401, "unauthorized", "Unable to authenticate you")
        if SCOPES.get(operation.name) in self.world.switches["missing_scopes"]:
            raise Refused(403, "forbidden", "You are not authorized to perform this operation")
        handler = getattr(self, operation.name, None)
        if handler is None:
            raise Refused(501, "not_implemented", f"the double has no {operation.name}")
        self.world.settle()
        self.query = dict(parse_qsl(query, keep_blank_values=True))
        self.path, self.body = operation.parameters, body
        self.operation = operation
        result: Result = handler()
        return result
