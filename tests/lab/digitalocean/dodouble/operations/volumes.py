"""Volumes."""

from __future__ import annotations

import re
import uuid
from typing import Any

from .. import catalogue
from ..world import conflict, not_found, stamp, unprocessable
from .base import Result
from .droplets import Droplets

ON_ONE = 7  # volumes
NAME = re.compile(r"^[a-z][a-z0-9-]{0,63}$")


class Volumes(Droplets):
    """Volumes, which hang on Droplets."""

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
        if not NAME.match(body["name"]):
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
