"""Droplets and what can be done to them."""

from __future__ import annotations

from typing import Any

from .. import catalogue
from ..world import Refused, not_found, stamp, unprocessable
from .account import Account
from .base import Result
from .firewalls import Firewalls

USER_DATA = 64 * 1024  # bytes


class Droplets(Account, Firewalls):
    """Droplets."""

    def droplets_list(self) -> Result:
        droplets = [one for one in self.world.droplets.values() if self.seen(f"droplet {one['id']}")]
        if "tag_name" in self.query and ("name" in self.query or "type" in self.query):
            raise Refused(400, "bad_request", "tag_name cannot be combined with name or type")
        if tag := self.query.get("tag_name", "").lower():
            droplets = [one for one in droplets if tag in (name.lower() for name in one["tags"])]
        if name := self.query.get("name", "").lower():
            droplets = [one for one in droplets if one["name"].lower() == name]
        return self.pages("droplets", [self.shown(one) for one in droplets])

    def shown(self, droplet: dict[str, Any]) -> dict[str, Any]:
        """A Droplet as the API tells it."""
        networks: dict[str, Any] = {"v4": [], "v6": []}
        if droplet["address"]:
            reserved = self.world.address_of(droplet["id"])
            networks["v4"] = [
                {"ip_address": "10.10.10.7", "netmask": "255.255.255.0", "gateway": "nil", "type": "private"},
                {"ip_address": droplet["address"], "netmask": "255.255.240.0", "gateway": "127.79.0.1", "type": "public"},
            ]
            if reserved:
                entry = {"ip_address": reserved, "netmask": "255.255.240.0", "gateway": "127.79.0.1", "type": "public"}
                networks["v4"].append(entry)
            if "ipv6" in droplet["features"]:
                networks["v6"] = [
                    {"ip_address": "2001:db8::7", "netmask": 64, "gateway": "2001:db8::1", "type": "public"}
                ]
        size = catalogue.size(droplet["size_slug"])
        volumes = [one["id"] for one in self.world.volumes.values() if droplet["id"] in one["droplet_ids"]]
        return {
            "id": droplet["id"],
            "name": droplet["name"],
            "memory": size["memory"],
            "vcpus": size["vcpus"],
            "disk": droplet["disk"],
            "locked": droplet["locked"],
            "status": droplet["status"],
            "kernel": None,
            "created_at": droplet["created_at"],
            "features": droplet["features"],
            "backup_ids": [],
            "next_backup_window": None,
            "snapshot_ids": [],
            "image": droplet["image"],
            "volume_ids": volumes,
            "size": size,
            "size_slug": droplet["size_slug"],
            "networks": networks,
            "region": catalogue.region(droplet["region"]),
            "tags": list(droplet["tags"]),
            "vpc_uuid": droplet["vpc_uuid"],
        }

    def check_size(self, slug: str, region: str) -> None:
        if slug not in catalogue.SIZES:
            raise unprocessable("You specified an invalid size for Droplet creation.")
        size = catalogue.size(slug)
        if not size["available"] or region not in size["regions"]:
            raise unprocessable("Size is not available in this region.")

    def droplets_create(self) -> Result:
        world, body = self.world, self.body
        if len(world.droplets) >= world.switches["droplet_limit"]:
            raise unprocessable("creating this/these droplet(s) will exceed your droplet limit")
        region = body.get("region") or "nyc3"
        if region not in catalogue.REGIONS:
            raise unprocessable("You specified an invalid region for Droplet creation.")
        if region in catalogue.FULL:
            raise unprocessable("Region is not available")
        self.check_size(body["size"], region)
        try:
            image = self.find_image(str(body["image"]))
        except Refused:
            raise unprocessable("You specified an invalid image for Droplet creation.") from None
        if region not in image["regions"]:
            raise unprocessable("The image you specified is not available in the selected region.")
        if image["min_disk_size"] > catalogue.size(body["size"])["disk"]:
            raise unprocessable("This size is not available because it has a smaller disk.")
        if len(body.get("user_data", "").encode()) > USER_DATA:
            raise unprocessable("user_data exceeds the maximum size of 64KiB")
        keys = []
        for given in body.get("ssh_keys", []):
            found = [key for key in world.keys.values() if given in (key["id"], str(key["id"]), key["fingerprint"])]
            if not found:
                raise unprocessable(f"{given} are invalid key identifiers for Droplet creation.")
            keys.append(found[0]["public_key"])
        vpc = body.get("vpc_uuid") or world.vpc_of(region)
        if vpc not in world.vpcs or world.vpcs[vpc]["region"] != region:
            raise unprocessable("The VPC is not in the selected region.")
        number = world.number()
        features = [name for name in ("backups", "ipv6", "monitoring") if body.get(name)]
        features += ["private_networking"]
        if body.get("with_droplet_agent"):
            features.append("droplet_agent")
        droplet = {
            "id": number,
            "name": body["name"],
            "region": region,
            "size_slug": body["size"],
            "disk": catalogue.size(body["size"])["disk"],
            "image": image,
            "status": "new",
            "locked": True,
            "created_at": stamp(),
            "features": features,
            "tags": [world.tag(tag) for tag in body.get("tags") or []],
            "vpc_uuid": vpc,
            "address": None,
        }
        world.droplets[number] = droplet
        world.user_data[number] = body.get("user_data", "")
        world.droplet_keys[number] = keys
        urn = f"do:droplet:{number}"
        world.assigned[urn] = next(one["id"] for one in world.projects.values() if one["is_default"])

        def up() -> None:
            if number in world.droplets:
                droplet.update(status="active", address=world.claim())
                if world.machines:
                    world.machines.launch(droplet)
                world.sync()

        action = world.begin("create", ("droplet", number), region, up, (f"droplet {number}",), 3)
        for firewall in world.is_walled(droplet):
            self.touch(firewall["id"], [number])
        href = f"https://api.digitalocean.com/v2/actions/{action['id']}"
        links = {"actions": [{"id": action["id"], "rel": "create", "href": href}]}
        return 202, {"droplet": self.shown(droplet), "links": links}

    def droplet(self, number: Any = None) -> dict[str, Any]:
        number = int(self.path["droplet_id"] if number is None else number)
        found = self.world.droplets.get(number)
        if found is None or not self.seen(f"droplet {number}"):
            raise not_found()
        return found

    def droplets_get(self) -> Result:
        return 200, {"droplet": self.shown(self.droplet())}

    def droplets_list_firewalls(self) -> Result:
        return self.pages("firewalls", self.world.is_walled(self.droplet()))

    def droplets_destroy(self) -> Result:
        droplet = self.droplet()
        number = droplet["id"]
        if droplet.get("ending"):
            return 204, None
        self.world.begin(
            "destroy", ("droplet", number), droplet["region"], lambda: self.world.remove_droplet(number),
            (f"droplet {number}",),
        )  # fmt: skip
        droplet["ending"] = True
        return 204, None

    def dropletActions_post(self) -> Result:
        droplet, kind = self.droplet(), self.body["type"]
        number = droplet["id"]
        machines = self.world.machines

        def power(on: bool) -> None:
            droplet["status"] = "active" if on else "off"
            if machines:
                machines.power(number, on)
                self.world.sync()

        def feature(name: str, on: bool) -> None:
            rest = [one for one in droplet["features"] if one != name]
            droplet["features"] = [*rest, name] if on else rest

        def resize() -> None:
            droplet["size_slug"] = self_body["size"]
            if self_body.get("disk"):
                droplet["disk"] = catalogue.size(self_body["size"])["disk"]
                if machines:
                    machines.grow_root(number, droplet["disk"])

        self_body = self.body
        effects = {
            "power_on": lambda: power(True),
            "power_off": lambda: power(False),
            "shutdown": lambda: power(False),
            "reboot": lambda: machines and machines.reset(number),
            "enable_backups": lambda: feature("backups", True),
            "disable_backups": lambda: feature("backups", False),
            "resize": resize,
        }
        if kind not in effects:
            raise unprocessable(f"the double has no action {kind}")
        if self.world.busy(f"droplet {number}"):
            raise unprocessable("Droplet already has a pending event.")
        if kind == "resize":
            self.check_size(self.body["size"], droplet["region"])
            if droplet["status"] != "off":
                raise unprocessable("This Droplet is currently powered on. Please power it off to run this event.")
            if catalogue.size(self.body["size"])["disk"] < droplet["disk"]:
                raise unprocessable("This size is not available because it has a smaller disk.")
        if kind == "power_on" and droplet["status"] == "active":
            raise unprocessable("Droplet is already powered on.")
        if kind in ("power_off", "shutdown") and droplet["status"] == "off":
            raise unprocessable("Droplet is already powered off.")
        follows = None
        if kind == "shutdown" and machines:
            # It is over when the guest has done it.
            follows = lambda: not machines.is_on(number)  # noqa: E731
        action = self.world.begin(
            kind, ("droplet", number), droplet["region"], effects[kind], (f"droplet {number}",), ready=follows
        )
        if follows:
            machines.ask_to_end(number)
        return 201, {"action": action}
