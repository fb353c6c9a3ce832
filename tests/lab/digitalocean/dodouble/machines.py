"""Droplets that are machines: what happens to one in the account happens to the other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from doubles.machines import metadata, qemu
from doubles.machines.folder import Folder
from doubles.machines.machine import Disk, Machine, Rule
from doubles.machines.process import Bus, Hardware, Seed

from . import catalogue
from .world import World

PREFIX = "provision-digitalocean-"
# Who makes a disk, and of which kind it is: udev names it scsi-0DO_Volume_NAME after that.
MAKER = ("DO", "Volume")
SEED = "http://169.254.169.254/nocloud/"


def node_of(volume: str) -> str:
    """A name that QEMU takes: it begins with a letter and has less than 32."""
    return f"v{volume.replace('-', '')[:24]}"


class OfDroplet(Machine):
    """The machine of one Droplet."""

    def __init__(self, world: World, droplet: dict[str, Any], place: Folder) -> None:
        self.world, self.droplet, self._place = world, droplet, place
        number = droplet["id"]
        told = documents(droplet, world.user_data[number], world.droplet_keys[number])
        handler = type("Handler", (Handler,), {"documents": told})
        super().__init__(str(number), place.kind, place.path / str(number), handler)

    def hardware(self) -> Hardware:
        size = catalogue.size(self.droplet["size_slug"])
        # The vendor's serial number is the Droplet's own. The lab's image does not know this vendor, and finds its seed by it.
        system = f"manufacturer=DigitalOcean,product=Droplet,serial=ds=nocloud;s={SEED}"
        return Hardware(self.name, system, size["vcpus"], size["memory"])

    def bus(self) -> Bus:
        return qemu.Scsi(*MAKER)

    def seed(self) -> Seed:
        number = self.droplet["id"]
        return Seed(self.world.user_data[number].encode(), meta_data(self.droplet, self.world.droplet_keys[number]))

    def root(self) -> Path:
        return self._place.ensure_disk(self.name, self.droplet["disk"], self._place.image)

    def disk(self, volume: str, name: str) -> Disk:
        return Disk(node_of(volume), name, self._place.disk_of(volume))

    def disks(self) -> list[Disk]:
        volumes = self.world.volumes.values()
        return [self.disk(one["id"], one["name"]) for one in volumes if self.droplet["id"] in one["droplet_ids"]]

    def addresses(self) -> set[str]:
        both = (self.droplet["address"], self.world.address_of(self.droplet["id"]))
        return {address for address in both if address}

    def rules(self) -> list[Rule]:
        """What its firewalls let in. Without any, everything is open."""
        walls = self.world.is_walled(self.droplet)
        if not walls:
            return [Rule(None, 0, 65535, "0.0.0.0/0")]
        found = []
        for rule in (rule for wall in walls for rule in wall["inbound_rules"] or []):
            first, _, last = rule["ports"].partition("-")
            ports = (0, 65535) if rule["ports"] == "0" else (int(first), int(last or first))
            networks = rule["sources"].get("addresses") or []
            found += [Rule(rule["protocol"], *ports, network) for network in networks]
        return found


class Machines:
    """All machines of this double. Its methods are called with the lock of the account held."""

    def __init__(self, world: World, image: Path) -> None:
        self.world, self.place = world, Folder(PREFIX, image)
        self.folder = self.place.path
        self._machines: dict[int, OfDroplet] = {}

    def launch(self, droplet: dict[str, Any]) -> None:
        machine = OfDroplet(self.world, droplet, self.place)
        self._machines[droplet["id"]] = machine
        machine.power_on(self.ended)

    def ended(self, machine: Machine) -> None:
        """The guest has shut itself down, or was asked to."""
        with self.world.lock:
            machine.power_off(gently=False)
            if droplet := self.world.droplets.get(int(machine.name)):
                droplet["status"] = "off"

    def is_on(self, number: int) -> bool:
        return number in self._machines and self._machines[number].on

    def ask_to_end(self, number: int) -> None:
        self._machines[number].ask_to_end()

    def power(self, number: int, on: bool) -> None:
        machine = self._machines[number]
        if on:
            machine.power_on(self.ended)
        else:
            machine.power_off(gently=False)

    def reset(self, number: int) -> None:
        self._machines[number].reset()

    def forget(self, number: int) -> None:
        machine = self._machines.pop(number, None)
        if machine:
            machine.remove()
            self.place.drop_disk(machine.name)

    def sync(self) -> None:
        for machine in self._machines.values():
            machine.sync_forwards()

    def grow_root(self, number: int, gib: int) -> None:
        """While it is off."""
        self.place.grow_disk(str(number), gib)

    def make_disk(self, volume: str, gib: int) -> None:
        self.place.ensure_disk(volume, gib)

    def drop_disk(self, volume: str) -> None:
        self.place.drop_disk(volume)

    def grow_disk(self, volume: str, gib: int, droplets: list[int]) -> None:
        file = self.place.disk_of(volume)
        those = [self._machines[number] for number in droplets if number in self._machines]
        if not any(machine.grow(node_of(volume), file, gib) for machine in those):
            self.place.grow_disk(volume, gib)

    def plug(self, number: int, volume: str, name: str) -> None:
        machine = self._machines[number]
        machine.plug(machine.disk(volume, name))

    def unplug(self, number: int, volume: str) -> None:
        self._machines[number].unplug(node_of(volume))

    def close(self) -> None:
        for machine in self._machines.values():
            machine.power_off(gently=False)
        self.place.close()


def documents(droplet: dict[str, Any], user_data: str, keys: list[str]) -> dict[str, bytes]:
    """What a guest can ask for, by path: as at the vendor, and the same again as cloud-init's seed."""
    number, name = droplet["id"], droplet["name"]
    metadata_v1 = {
        "droplet_id": number,
        "hostname": name,
        "user_data": user_data,
        "vendor_data": "",
        "public_keys": keys,
        "region": droplet["region"],
        "tags": droplet["tags"],
        "features": {"dhcp_enabled": True},
    }
    texts = {
        "/metadata/v1.json": json.dumps(metadata_v1),
        "/metadata/v1/id": str(number),
        "/metadata/v1/hostname": name,
        "/metadata/v1/region": droplet["region"],
        "/metadata/v1/user-data": user_data,
        "/metadata/v1/public-keys": "\n".join(keys),
        "/nocloud/meta-data": json.dumps(meta_data(droplet, keys)),
        "/nocloud/user-data": user_data,
        "/nocloud/vendor-data": "",
    }
    return {path: text.encode() for path, text in texts.items()}


def meta_data(droplet: dict[str, Any], keys: list[str]) -> dict[str, Any]:
    return {"instance-id": str(droplet["id"]), "local-hostname": droplet["name"], "public-keys": keys}


class Handler(metadata.Handler):
    """Answers one guest."""

    documents: dict[str, bytes]

    def do_GET(self) -> None:
        body = self.documents.get(self.path.split("?")[0])
        self.reply(404 if body is None else 200, body or b"")
