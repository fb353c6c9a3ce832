"""The operations of the API, by their names in the vendor's document."""

from __future__ import annotations

import re
import time
import uuid
from typing import Any
from urllib.parse import parse_qsl

from . import catalogue
from .contract import Operation
from .world import Refused, World, conflict, not_found, stamp, unprocessable

USER_DATA = 64 * 1024  # bytes
ON_ONE = 7  # volumes
VOLUME_NAME = re.compile(r"^[a-z][a-z0-9-]{0,63}$")
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
Result = tuple[int, Any]


class Api:
    """Answers one call: a method for every operation that the provider needs."""

    def __init__(self, world: World) -> None:
        self.world = world

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

    # Lists

    def pages(self, name: str, things: list[Any]) -> Result:
        per_page = min(int(self.query.get("per_page", 20)), self.world.switches["page_limit"])
        page = int(self.query.get("page", 1))
        last = max(1, -(-len(things) // per_page))
        links: dict[str, Any] = {}
        if last > 1:
            # Where the vendor would be: whoever sends a token there gives it away.
            base = f"https://api.digitalocean.com{self.operation.path}"
            to = lambda number: f"{base}?page={number}&per_page={per_page}"  # noqa: E731
            pages = {"first": to(1), "last": to(last)}
            if page < last:
                pages["next"] = to(page + 1)
            if page > 1:
                pages["prev"] = to(page - 1)
            links = {"pages": pages}
        shown = things[(page - 1) * per_page : page * per_page]
        return 200, {name: shown, "links": links, "meta": {"total": len(things)}}

    # Account, catalogue

    def account_get(self) -> Result:
        return 200, {
            "account": {
                "droplet_limit": self.world.switches["droplet_limit"],
                "floating_ip_limit": self.world.switches["reserved_ip_limit"],
                "volume_limit": self.world.switches["volume_limit"],
                "email": "lab@example.com",
                "name": "Lab",
                "uuid": "b6fr89dbf6d9156cace5f3c78dc9851d957381ef",
                "email_verified": True,
                "status": "active",
                "status_message": "",
                "team": {"uuid": "5df3e3004a17e242b7c20ca6c9fc25b701a47ece", "name": "Lab"},
            }
        }

    def sizes_list(self) -> Result:
        return self.pages("sizes", [catalogue.size(slug) for slug in catalogue.SIZES])

    def regions_list(self) -> Result:
        return self.pages("regions", [catalogue.region(slug) for slug in catalogue.REGIONS])

    def find_image(self, name: str) -> dict[str, Any]:
        newer = self.world.switches["newer_images"]
        for slug, (number, _, _) in catalogue.IMAGES.items():
            if name == slug:
                return catalogue.image(slug, newer)
            if name in (str(number), str(number + 1)):
                return catalogue.image(slug, name == str(number + 1))
        if name == str(catalogue.OWN["id"]):
            return catalogue.own_image()
        raise not_found()

    def images_get(self) -> Result:
        return 200, {"image": self.find_image(self.path["image_id"])}

    def actions_get(self) -> Result:
        action = self.world.actions.get(int(self.path["action_id"]))
        if action is None:
            raise not_found()
        return 200, {"action": action}

    def snapshots_list(self) -> Result:
        return self.pages("snapshots", [])

    # Keys

    def sshKeys_list(self) -> Result:
        return self.pages("ssh_keys", [key for key in self.world.keys.values() if self.seen(f"key {key['id']}")])

    def sshKeys_create(self) -> Result:
        key = self.world.add_key(self.body["name"], self.body["public_key"])
        return 201, {"ssh_key": key}

    def key(self) -> dict[str, Any]:
        name = self.path["ssh_key_identifier"]
        for key in self.world.keys.values():
            if name in (str(key["id"]), key["fingerprint"]) and self.seen(f"key {key['id']}"):
                return key
        raise not_found()

    def sshKeys_get(self) -> Result:
        return 200, {"ssh_key": self.key()}

    def sshKeys_update(self) -> Result:
        key = self.key()
        key["name"] = self.body["name"]
        return 200, {"ssh_key": key}

    def sshKeys_delete(self) -> Result:
        del self.world.keys[self.key()["id"]]
        return 204, None

    # Tags

    def tag_name(self) -> str:
        name = self.path["tag_id"].lower()
        found = next((tag for tag in self.world.tags if tag.lower() == name), None)
        if found is None:
            raise not_found()
        return found

    def shown_tag(self, name: str) -> dict[str, Any]:
        bearers = self.world.bearers(name)
        droplets = [thing for thing in bearers if isinstance(thing["id"], int)]
        counts = {"droplets": len(droplets), "volumes": len(bearers) - len(droplets)}
        resources: dict[str, Any] = {kind: {"count": count} for kind, count in counts.items()}
        return {"name": name, "resources": {"count": len(bearers), **resources}}

    def tags_list(self) -> Result:
        return self.pages("tags", [self.shown_tag(name) for name in self.world.tags])

    def tags_create(self) -> Result:
        name = self.world.tag(self.body["name"])
        return 201, {"tag": self.shown_tag(name)}

    def tags_get(self) -> Result:
        return 200, {"tag": self.shown_tag(self.tag_name())}

    def tags_delete(self) -> Result:
        name = self.tag_name()
        for thing in self.world.bearers(name):
            thing["tags"] = [tag for tag in thing["tags"] if tag.lower() != name.lower()]
        for firewall in self.world.firewalls.values():
            body = firewall["body"]
            body["tags"] = [tag for tag in body["tags"] or [] if tag.lower() != name.lower()]
        del self.world.tags[name]
        self.world.sync()
        return 204, None

    def tagged(self) -> list[dict[str, Any]]:
        found = []
        for resource in self.body["resources"]:
            kind, number = resource["resource_type"], resource["resource_id"]
            things: dict[Any, Any] = self.world.droplets if kind == "droplet" else self.world.volumes
            thing = things.get(int(number) if kind == "droplet" else number)
            if thing is None:
                raise not_found()
            found.append(thing)
        return found

    def tags_assign_resources(self) -> Result:
        name = self.tag_name()
        for thing in self.tagged():
            if name.lower() not in (tag.lower() for tag in thing["tags"]):
                thing["tags"].append(name)
        self.world.sync()
        return 204, None

    def tags_unassign_resources(self) -> Result:
        name = self.tag_name().lower()
        for thing in self.tagged():
            thing["tags"] = [tag for tag in thing["tags"] if tag.lower() != name]
        self.world.sync()
        return 204, None

    # Droplets

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

    def seen(self, what: str) -> bool:
        return not self.world.is_hidden(what)

    # Volumes

    def shown_volume(self, volume: dict[str, Any]) -> dict[str, Any]:
        return {**volume, "region": catalogue.region(volume["region"]), "tags": list(volume["tags"])}

    def volumes_list(self) -> Result:
        volumes = [one for one in self.world.volumes.values() if self.seen(f"volume {one['id']}")]
        if name := self.query.get("name"):
            volumes = [one for one in volumes if one["name"] == name]
        if region := self.query.get("region"):
            volumes = [one for one in volumes if one["region"] == region]
        return self.pages("volumes", [self.shown_volume(one) for one in volumes])

    def volumes_create(self) -> Result:
        world, body = self.world, self.body
        if not VOLUME_NAME.match(body["name"]):
            raise unprocessable("name must begin with a letter, and hold lower-case letters, numbers and - only")
        if body["region"] not in catalogue.REGIONS or not 1 <= body["size_gigabytes"] <= 16384:
            raise unprocessable("invalid region or size")
        if any(one["name"] == body["name"] and one["region"] == body["region"] for one in world.volumes.values()):
            raise conflict("A volume with the same name already exists in this region.")
        if len(world.volumes) >= world.switches["volume_limit"]:
            raise unprocessable("failed to create volume: volume limit exceeded")
        number = str(uuid.uuid4())
        volume = {
            "id": number,
            "name": body["name"],
            "description": body.get("description", ""),
            "region": body["region"],
            "size_gigabytes": body["size_gigabytes"],
            "created_at": stamp(),
            "droplet_ids": [],
            "filesystem_type": body.get("filesystem_type", ""),
            "filesystem_label": body.get("filesystem_label", ""),
            "tags": [world.tag(tag) for tag in body.get("tags") or []],
        }
        world.volumes[number] = volume
        if world.machines:
            world.machines.make_disk(number, body["size_gigabytes"])
        return 201, {"volume": self.shown_volume(volume)}

    def volume(self) -> dict[str, Any]:
        found = self.world.volumes.get(self.path["volume_id"])
        if found is None or not self.seen(f"volume {found['id']}"):
            raise not_found()
        return found

    def volumes_get(self) -> Result:
        return 200, {"volume": self.shown_volume(self.volume())}

    def volumes_delete(self) -> Result:
        volume = self.volume()
        if volume["droplet_ids"]:
            raise conflict("A volume that's attached to a Droplet cannot be deleted.")
        if self.world.busy(f"volume {volume['id']}"):
            raise unprocessable("The volume already has a pending event.")
        del self.world.volumes[volume["id"]]
        self.world.assigned.pop(f"do:volume:{volume['id']}", None)
        if self.world.machines:
            self.world.machines.drop_disk(volume["id"])
        return 204, None

    def volumeActions_post_byId(self) -> Result:
        world, volume, body = self.world, self.volume(), self.body
        number, kind = volume["id"], body["type"]
        holds = [f"volume {number}"]
        machines = world.machines
        if kind == "resize":
            if body["size_gigabytes"] <= volume["size_gigabytes"]:
                raise unprocessable("volumes can only be resized to be larger")

            def effect() -> None:
                volume["size_gigabytes"] = body["size_gigabytes"]
                if machines:
                    machines.grow_disk(number, body["size_gigabytes"], volume["droplet_ids"])
        else:
            droplet = self.droplet(body["droplet_id"])
            holds.append(f"droplet {droplet['id']}")
            if droplet["region"] != volume["region"]:
                raise unprocessable("droplet and volume are in different regions")
            if droplet["status"] == "new":
                raise unprocessable("Droplet already has a pending event.")
            if kind == "attach":
                if volume["droplet_ids"]:
                    raise unprocessable("the volume is already attached to a Droplet")
                others = [one for one in world.volumes.values() if droplet["id"] in one["droplet_ids"]]
                if len(others) >= ON_ONE:
                    raise unprocessable("the Droplet has too many volumes attached")
            elif droplet["id"] not in volume["droplet_ids"]:
                raise unprocessable("Attachment not found")

            def effect() -> None:
                if droplet["id"] not in world.droplets:
                    return
                volume["droplet_ids"] = [droplet["id"]] if kind == "attach" else []
                if machines and kind == "attach":
                    machines.plug(droplet["id"], number, volume["name"])
                elif machines:
                    machines.unplug(droplet["id"], number)

        action = world.begin(f"{kind}_volume", ("backend", None), volume["region"], effect, tuple(holds))
        return 202, {"action": action}

    # Firewalls

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

    # Reserved addresses

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

    # Domains

    def domains_list(self) -> Result:
        shown = [{"name": name, "ttl": 1800, "zone_file": f"$ORIGIN {name}.\n"} for name in self.world.domains]
        return self.pages("domains", shown)

    def domains_create(self) -> Result:
        name = self.body["name"]
        if name in self.world.domains:
            raise unprocessable("domain already exists")
        self.world.domains[name] = {}
        for server in ("ns1", "ns2", "ns3"):
            self.add_record(name, {"type": "NS", "name": "@", "data": f"{server}.digitalocean.com"})
        return 201, {"domain": {"name": name, "ttl": None, "zone_file": None}}

    def records(self) -> dict[int, dict[str, Any]]:
        found = self.world.domains.get(self.path["domain_name"])
        if found is None:
            raise not_found()
        return found

    def add_record(self, domain: str, body: dict[str, Any]) -> dict[str, Any]:
        empty = {"priority": None, "port": None, "ttl": 1800, "weight": None, "flags": None, "tag": None}
        number = self.world.number()
        record = {"id": number, **empty, **body}
        if record["ttl"] < 30:
            raise unprocessable("TTL must be at least 30")
        self.world.domains[domain][number] = record
        return record

    def domains_list_records(self) -> Result:
        domain = self.path["domain_name"]
        records = list(self.records().values())
        if name := self.query.get("name"):
            full = lambda one: domain if one["name"] == "@" else f"{one['name']}.{domain}"  # noqa: E731
            records = [one for one in records if full(one) == name]
        if kind := self.query.get("type"):
            records = [one for one in records if one["type"] == kind]
        return self.pages("domain_records", records)

    def domains_create_record(self) -> Result:
        self.records()
        others = [one for one in self.records().values() if one["name"] == self.body["name"]]
        if any(one["type"] == "CNAME" for one in others) or (self.body["type"] == "CNAME" and others):
            raise unprocessable("CNAME records cannot share a name with other records")
        record = self.add_record(self.path["domain_name"], self.body)
        return 201, {"domain_record": record}

    def record(self) -> dict[str, Any]:
        found = self.records().get(int(self.path["domain_record_id"]))
        if found is None:
            raise not_found()
        return found

    def domains_patch_record(self) -> Result:
        record = self.record()
        record.update(self.body)
        return 200, {"domain_record": record}

    def domains_delete_record(self) -> Result:
        del self.records()[self.record()["id"]]
        return 204, None

    # Projects

    def projects_list(self) -> Result:
        return self.pages("projects", list(self.world.projects.values()))

    def projects_list_resources(self) -> Result:
        number = self.path["project_id"]
        if number not in self.world.projects:
            raise not_found()
        urns = sorted(urn for urn, of in self.world.assigned.items() if of == number)
        return self.pages("resources", [self.shown_assigned(urn, "ok") for urn in urns])

    @staticmethod
    def shown_assigned(urn: str, status: str) -> dict[str, Any]:
        link = f"https://api.digitalocean.com/v2/{urn}"
        return {"urn": urn, "assigned_at": stamp(), "links": {"self": link}, "status": status}

    def projects_assign_resources(self) -> Result:
        number = self.path["project_id"]
        if number not in self.world.projects:
            raise not_found()
        shown = []
        for urn in self.body["resources"]:
            before = self.world.assigned.get(urn)
            self.world.assigned[urn] = number
            if (ip := urn.removeprefix("do:floatingip:")) in self.world.reserved:
                self.world.reserved[ip]["project_id"] = number
            status = "already_assigned" if before == number else "assigned"
            shown.append(self.shown_assigned(urn, status))
        return 200, {"resources": shown}
