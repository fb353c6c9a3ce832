"""Firewalls."""

from __future__ import annotations

import re
import time
import uuid
from typing import Any

from ..world import Refused, conflict, not_found, stamp, unprocessable
from .base import Base, Result


class Firewalls(Base):
    """Firewalls, for Droplets by number or by tag."""

    def touch(self, number: str, droplets: list[int]) -> None:
        """Rules are in force a moment later."""
        firewall = self.world.firewalls[number]
        changes = [{"droplet_id": one, "removing": False, "status": "waiting"} for one in droplets]
        firewall["body"].update(status="waiting" if changes else "succeeded", pending_changes=changes)
        firewall["due"] = time.monotonic() + 2 * self.world.switches["action_seconds"]

    def checked_firewall(self) -> dict[str, Any]:
        body = self.body
        for tag in body.get("tags") or []:
            if tag.lower() not in (name.lower() for name in self.world.tags):
                raise Refused(400, "bad_request", f"tag {tag} does not exist")
        for droplet in body.get("droplet_ids") or []:
            if droplet not in self.world.droplets:
                raise Refused(400, "bad_request", "droplet does not exist")
        for side, other in (("inbound_rules", "sources"), ("outbound_rules", "destinations")):
            for rule in body.get(side) or []:
                if not re.fullmatch(r"\d+(-\d+)?|all", rule["ports"]):
                    raise Refused(400, "bad_request", "invalid ports")
                others = rule.get(other) or {}
                if not any(others.values()) or any(value == [] for value in others.values()):
                    raise unprocessable("invalid address")
        return {
            "name": body["name"],
            "droplet_ids": list(body.get("droplet_ids") or []),
            "tags": list(body.get("tags") or []),
            "inbound_rules": [self.as_told(rule, "sources") for rule in body.get("inbound_rules") or []],
            "outbound_rules": [self.as_told(rule, "destinations") for rule in body.get("outbound_rules") or []],
        }

    @staticmethod
    def as_told(rule: dict[str, Any], side: str) -> dict[str, Any]:
        ports = "0" if rule["protocol"] == "icmp" or rule["ports"] == "all" else rule["ports"]
        return {"protocol": rule["protocol"], "ports": ports, side: rule[side]}

    def covered(self, firewall: dict[str, Any]) -> list[int]:
        droplets = self.world.droplets.values()
        return [one["id"] for one in droplets if any(wall["id"] == firewall["id"] for wall in self.world.is_walled(one))]

    def firewalls_list(self) -> Result:
        all_of_them = [one["body"] for number, one in self.world.firewalls.items() if self.seen(f"firewall {number}")]
        return self.pages("firewalls", all_of_them)

    def firewalls_create(self) -> Result:
        body = self.checked_firewall()
        if any(one["body"]["name"] == body["name"] for one in self.world.firewalls.values()):
            raise conflict("duplicate name")
        number = str(uuid.uuid4())
        firewall = {"id": number, "status": "waiting", "created_at": stamp(), "pending_changes": [], **body}
        self.world.firewalls[number] = {"body": firewall, "due": 0.0}
        self.touch(number, self.covered(firewall))
        self.world.sync()
        return 202, {"firewall": firewall}

    def firewall(self) -> dict[str, Any]:
        found = self.world.firewalls.get(self.path["firewall_id"])
        if found is None or not self.seen(f"firewall {self.path['firewall_id']}"):
            raise not_found()
        body: dict[str, Any] = found["body"]
        return body

    def firewalls_get(self) -> Result:
        return 200, {"firewall": self.firewall()}

    def firewalls_update(self) -> Result:
        firewall = self.firewall()
        firewall.update(self.checked_firewall())
        self.touch(firewall["id"], self.covered(firewall))
        self.world.sync()
        return 200, {"firewall": firewall}

    def firewalls_delete(self) -> Result:
        del self.world.firewalls[self.firewall()["id"]]
        self.world.sync()
        return 204, None

    def firewalls_add_rules(self) -> Result:
        firewall = self.firewall()
        for side, other in (("inbound_rules", "sources"), ("outbound_rules", "destinations")):
            firewall[side] += [self.as_told(rule, other) for rule in self.body.get(side) or []]
        self.touch(firewall["id"], self.covered(firewall))
        self.world.sync()
        return 204, None
