"""Reserved addresses."""

from __future__ import annotations

from typing import Any

from .. import catalogue
from ..world import not_found, unprocessable
from .base import Result
from .droplets import Droplets


class Reserved(Droplets):
    """Reserved addresses, which lead to Droplets."""

    def shown_reserved(self, ip: str) -> dict[str, Any]:
        one = self.world.reserved[ip]
        droplet = self.world.droplets.get(one["droplet_id"])
        return {
            "ip": ip,
            "region": catalogue.region(one["region"]),
            "droplet": self.shown(droplet) if droplet else None,
            "locked": self.world.busy(f"reserved {ip}"),
            "project_id": one["project_id"],
        }

    def reservedIPs_list(self) -> Result:
        return self.pages("reserved_ips", [self.shown_reserved(ip) for ip in self.world.reserved])

    def reservedIPs_create(self) -> Result:
        world, body = self.world, self.body
        if len(world.reserved) >= world.switches["reserved_ip_limit"]:
            raise unprocessable("reserved ip limit exceeded")
        region, effect, holds = body.get("region"), (lambda: None), []
        droplet = None
        if "droplet_id" in body:
            droplet = self.droplet(body["droplet_id"])
            region = droplet["region"]
            if world.address_of(droplet["id"]):
                raise unprocessable("The Droplet already has a reserved IP.")
            if world.busy(f"droplet {droplet['id']}"):
                raise unprocessable("Droplet already has a pending event.")
            holds.append(f"droplet {droplet['id']}")
        ip = world.claim()
        project = next(one["id"] for one in world.projects.values() if one["is_default"])
        world.reserved[ip] = {"region": region, "droplet_id": None, "project_id": body.get("project_id") or project}

        def assign() -> None:
            if droplet and ip in world.reserved and droplet["id"] in world.droplets:
                world.reserved[ip]["droplet_id"] = droplet["id"]
                world.sync()

        action = world.begin("assign_ip", ("floating_ip", None), region, assign if droplet else effect, (f"reserved {ip}", *holds))
        href = f"https://api.digitalocean.com/v2/actions/{action['id']}"
        links: dict[str, Any] = {"actions": [{"id": action["id"], "rel": "assign_ip", "href": href}]}
        if droplet:
            href = f"https://api.digitalocean.com/v2/droplets/{droplet['id']}"
            links["droplets"] = [{"id": droplet["id"], "rel": "droplet", "href": href}]
        return 202, {"reserved_ip": self.shown_reserved(ip), "links": links}

    def reserved_ip(self) -> str:
        ip = self.path["reserved_ip"]
        if ip not in self.world.reserved:
            raise not_found()
        return ip

    def reservedIPs_get(self) -> Result:
        return 200, {"reserved_ip": self.shown_reserved(self.reserved_ip())}

    def reservedIPs_delete(self) -> Result:
        ip = self.reserved_ip()
        if self.world.busy(f"reserved {ip}"):
            raise unprocessable("The floating IP already has a pending event.")
        if self.world.reserved[ip]["droplet_id"]:
            raise unprocessable("The reserved IP is assigned to a Droplet: unassign it first")
        del self.world.reserved[ip]
        self.world.assigned.pop(f"do:floatingip:{ip}", None)
        return 204, None

    def reservedIPsActions_post(self) -> Result:
        world, ip = self.world, self.reserved_ip()
        one, holds = world.reserved[ip], [f"reserved {ip}"]
        target: int | None = None
        if self.body["type"] == "assign":
            droplet = self.droplet(self.body["droplet_id"])
            target = droplet["id"]
            if droplet["region"] != one["region"]:
                raise unprocessable("The Droplet is in another region.")
            if world.address_of(target) not in (None, ip):
                raise unprocessable("The Droplet already has a reserved IP.")
            holds.append(f"droplet {target}")
        elif one["droplet_id"]:
            holds.append(f"droplet {one['droplet_id']}")

        def effect() -> None:
            if ip in world.reserved:
                one["droplet_id"] = target if target in world.droplets else None
                world.sync()

        kind = f"{self.body['type']}_ip"
        action = world.begin(kind, ("floating_ip", None), one["region"], effect, tuple(holds))
        return 201, {"action": {**action, "project_id": one["project_id"]}}
