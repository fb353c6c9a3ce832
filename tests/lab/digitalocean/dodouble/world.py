"""What is in the account, and how it changes as time passes.

An action is under way for a moment before it has its effect, and a thing does one at a time: whoever asks too early is told
that there is a pending event, as by the vendor.
"""

from __future__ import annotations

import base64
import hashlib
import math
import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import catalogue

# Seconds that a guest may take to do as it is asked; then its action has come to nothing.
FOLLOWS = 90.0
DEFAULTS: dict[str, Any] = {
    # How much the account may have.
    "droplet_limit": 10,
    "reserved_ip_limit": 3,
    "volume_limit": 10,
    # The most that a page holds; lists have several then.
    "page_limit": 200,
    # How long an action takes.
    "action_seconds": 0.15,
    # Kinds of actions that are given up, such as `attach_volume`.
    "failing_actions": [],
    # A newer build of every image is out.
    "newer_images": False,
    # The token may do nothing (any more).
    "expired": False,
    # Scopes that the token lacks, such as `droplet:create`.
    "missing_scopes": [],
    # Firewalls do not notice a new Droplet by its tag.
    "slow_firewalls": False,
}


class Refused(Exception):
    """An error of the API."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def unprocessable(message: str) -> Refused:
    return Refused(422, "unprocessable_entity", message)


def not_found(what: str = "The resource you requested could not be found.") -> Refused:
    return Refused(404, "not_found", what)


def conflict(message: str) -> Refused:
    return Refused(409, "conflict", message)


def stamp() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


@dataclass
class Pending:
    """An action under way."""

    action: dict[str, Any]
    due: float
    effect: Callable[[], None]
    holds: tuple[str, ...]
    # Whether what it waits for has come about; at its latest it ends at `give_up`, as errored.
    ready: Callable[[], bool] | None = None
    give_up: float = math.inf


@dataclass
class World:
    """One account. Its public methods are called with the lock held."""

    claim: Callable[[], str]
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.machines: Any = None
        self.reset()

    def reset(self) -> None:
        if self.machines:
            for number in list(getattr(self, "droplets", {})):
                self.machines.forget(number)
        self.switches = dict(DEFAULTS)
        self.droplets: dict[int, dict[str, Any]] = {}
        self.user_data: dict[int, str] = {}
        self.droplet_keys: dict[int, list[str]] = {}
        self.volumes: dict[str, dict[str, Any]] = {}
        self.firewalls: dict[str, dict[str, Any]] = {}
        self.reserved: dict[str, dict[str, Any]] = {}
        self.keys: dict[int, dict[str, Any]] = {}
        self.tags: dict[str, None] = {}
        self.domains: dict[str, dict[int, dict[str, Any]]] = {}
        self.actions: dict[int, dict[str, Any]] = {}
        self.projects: dict[str, dict[str, Any]] = {}
        self.assigned: dict[str, str] = {}
        self.vpcs: dict[str, dict[str, Any]] = {}
        self.hidden: dict[str, float] = {}
        self._pending: list[Pending] = []
        self._number = random.randrange(400_000_000, 500_000_000)
        for name in ("Default", "shop"):
            self.add_project(name, name == "Default")
        for region in catalogue.REGIONS:
            self.add_vpc(region)

    def set(self, switches: dict[str, Any]) -> None:
        """Raises ValueError for one that is not there."""
        if unknown := set(switches) - set(DEFAULTS):
            raise ValueError(f"there is no switch {', '.join(sorted(unknown))}")
        self.switches.update(switches)

    def number(self) -> int:
        self._number += random.randrange(1, 9)
        return self._number

    # Time

    def settle(self) -> None:
        """Lets everything have its effect that is due."""
        now = time.monotonic()
        is_due = lambda one: one.due <= now and (one.ready is None or one.ready() or one.give_up <= now)  # noqa: E731
        due = [pending for pending in self._pending if is_due(pending)]
        self._pending = [pending for pending in self._pending if pending not in due]
        for pending in sorted(due, key=lambda one: one.due):
            given_up = pending.ready is not None and not pending.ready()
            if given_up or pending.action["type"] in self.switches["failing_actions"]:
                pending.action.update(status="errored", completed_at=stamp())
                continue
            pending.effect()
            if pending.action["status"] == "in-progress":
                pending.action.update(status="completed", completed_at=stamp())
        for droplet in self.droplets.values():
            droplet["locked"] = self.busy(f"droplet {droplet['id']}")
        for firewall in self.firewalls.values():
            if firewall["due"] <= now:
                firewall["body"].update(status="succeeded", pending_changes=[])

    def busy(self, thing: str) -> bool:
        return any(thing in pending.holds for pending in self._pending)

    def begin(
        self, kind: str, resource: tuple[str, Any], region: str, effect: Callable[[], None], holds: tuple[str, ...],
        times: int = 1, ready: Callable[[], bool] | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Begins an action that holds these things; refused while one of them is held. It waits until it is `ready`."""
        for thing in holds:
            if self.busy(thing):
                name = "Droplet" if thing.startswith("droplet") else "The resource"
                raise unprocessable(f"{name} already has a pending event.")
        number = self.number()
        kind_of, identifier = resource
        action = {
            "id": number,
            "status": "in-progress",
            "type": kind,
            "started_at": stamp(),
            "completed_at": None,
            "resource_id": identifier if isinstance(identifier, int) else None,
            "resource_type": kind_of,
            "region": catalogue.region(region),
            "region_slug": region,
        }
        self.actions[number] = action
        now = time.monotonic()
        due = now + times * self.switches["action_seconds"]
        self._pending.append(Pending(action, due, effect, holds, ready, now + FOLLOWS))
        for thing in holds:
            if thing.startswith("droplet ") and (droplet := self.droplets.get(int(thing.split()[1]))):
                droplet["locked"] = True
        return action

    # What is hidden for a while: made a moment ago, and not seen everywhere

    def hide(self, what: str, seconds: float) -> None:
        self.hidden[what] = time.monotonic() + seconds

    def is_hidden(self, what: str) -> bool:
        return self.hidden.get(what, 0.0) > time.monotonic()

    # Things

    def add_project(self, name: str, default: bool) -> None:
        number = str(uuid.uuid4())
        self.projects[number] = {
            "id": number,
            "owner_uuid": "99525febec065ca37b2ffe4f852fd2b2581895e7",
            "owner_id": 258992,
            "name": name,
            "description": "",
            "purpose": "Service or API",
            "environment": "Production",
            "created_at": stamp(),
            "updated_at": stamp(),
            "is_default": default,
        }

    def add_vpc(self, region: str) -> None:
        number = str(uuid.uuid4())
        self.vpcs[number] = {
            "id": number,
            "urn": f"do:vpc:{number}",
            "name": f"default-{region}",
            "description": "",
            "region": region,
            "ip_range": "10.10.10.0/24",
            "default": True,
            "created_at": stamp(),
        }

    def vpc_of(self, region: str) -> str:
        return next(vpc["id"] for vpc in self.vpcs.values() if vpc["region"] == region and vpc["default"])

    def add_key(self, name: str, public_key: str) -> dict[str, Any]:
        words = public_key.split()
        try:
            if words[0] not in ("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256"):
                raise ValueError(words[0])
            digest = hashlib.md5(base64.b64decode(words[1], validate=True)).hexdigest()  # noqa: S324
        except (IndexError, ValueError):
            raise unprocessable("Key invalid, key should be of the format `type key [comment]`") from None
        fingerprint = ":".join(digest[place : place + 2] for place in range(0, 32, 2))
        if any(key["fingerprint"] == fingerprint for key in self.keys.values()):
            raise unprocessable("SSH Key is already in use on your account")
        number = self.number()
        key = {"id": number, "fingerprint": fingerprint, "name": name, "public_key": public_key}
        self.keys[number] = key
        return key

    def tag(self, name: str) -> str:
        """The tag as it is written first."""
        found = next((known for known in self.tags if known.lower() == name.lower()), None)
        if found is None:
            self.tags[name] = None
        return found or name

    def bearers(self, name: str) -> list[dict[str, Any]]:
        things = [*self.droplets.values(), *self.volumes.values()]
        return [thing for thing in things if any(tag.lower() == name.lower() for tag in thing["tags"])]

    def is_walled(self, droplet: dict[str, Any]) -> list[dict[str, Any]]:
        """The firewalls of a Droplet."""
        tags = {tag.lower() for tag in droplet["tags"]}
        found = []
        for firewall in self.firewalls.values():
            body = firewall["body"]
            by_tag = tags & {tag.lower() for tag in body["tags"] or []}
            if droplet["id"] in (body["droplet_ids"] or []) or by_tag and not self.switches["slow_firewalls"]:
                found.append(body)
        return found

    def address_of(self, number: int) -> str | None:
        return next((ip for ip, one in self.reserved.items() if one["droplet_id"] == number), None)

    def remove_droplet(self, number: int) -> None:
        self.droplets.pop(number, None)
        self.user_data.pop(number, None)
        self.assigned.pop(f"do:droplet:{number}", None)
        for volume in self.volumes.values():
            volume["droplet_ids"] = [one for one in volume["droplet_ids"] if one != number]
        for reserved in self.reserved.values():
            if reserved["droplet_id"] == number:
                reserved["droplet_id"] = None
        for firewall in self.firewalls.values():
            ids = firewall["body"]["droplet_ids"] or []
            firewall["body"]["droplet_ids"] = [one for one in ids if one != number]
        if self.machines:
            self.machines.forget(number)
        self.sync()

    def sync(self) -> None:
        """The machines' ports are as firewalls and addresses say."""
        if self.machines:
            self.machines.sync()
