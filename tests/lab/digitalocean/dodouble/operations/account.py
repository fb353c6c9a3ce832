"""The account, what can be had in it, keys and tags."""

from __future__ import annotations

from typing import Any

from .. import catalogue
from ..world import not_found
from .base import Base, Result


class Account(Base):
    """The account itself, and what belongs to all of it."""

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
