"""One instance's machine."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from doubles.machines import qemu
from doubles.machines.folder import Folder
from doubles.machines.machine import Disk, Machine, Rule
from doubles.machines.process import PRIVATE_IP, Bus, Hardware, Seed
from moto.ec2.models.instance_types import INSTANCE_TYPES

from . import metadata


def node_of(volume: str) -> str:
    """A disk's serial number is the volume's id without its dash, as on AWS."""
    return volume.replace("-", "")


def uuid_of(instance: str) -> str:
    """EC2's begin with ec2: that is how cloud-init knows where it is."""
    digest = hashlib.sha256(instance.encode()).hexdigest()
    return f"ec2{digest[:5]}-{digest[5:9]}-4{digest[10:13]}-8{digest[14:17]}-{digest[17:29]}"


class OfInstance(Machine):
    """The machine of one instance."""

    def __init__(self, instance: Any, place: Folder) -> None:
        self.instance, self._place = instance, place
        handler = metadata.of(instance, qemu.mac_of(instance.id), PRIVATE_IP)
        super().__init__(str(instance.id), place.kind, place.path / instance.id, handler)

    def hardware(self) -> Hardware:
        kind = INSTANCE_TYPES[self.instance.instance_type]
        uuid = uuid_of(self.instance.id)
        return Hardware(
            self.instance.id,
            f"manufacturer=Amazon EC2,product={self.instance.instance_type},uuid={uuid},serial={uuid}",
            int(kind["VCpuInfo"]["DefaultVCpus"]),
            int(kind["MemoryInfo"]["SizeInMiB"]),
        )

    def bus(self) -> Bus:
        return qemu.Slots()

    def seed(self) -> Seed:
        told = metadata.tree(self.instance, qemu.mac_of(self.instance.id), PRIVATE_IP)
        keys = [key["openssh-key"] for key in told["meta-data"].get("public-keys", {}).values()]
        name = told["meta-data"]["local-hostname"]
        meta_data = {"instance-id": self.instance.id, "local-hostname": name, "public-keys": keys}
        return Seed(told.get("user-data", b""), meta_data)

    def volumes(self) -> dict[str, Any]:
        """Volumes by device; the root disk apart."""
        mappings = dict(self.instance.block_device_mapping)
        mappings.pop(self.instance.root_device_name, None)
        return mappings

    def disk(self, volume: str) -> Disk:
        return Disk(node_of(volume), node_of(volume), self._place.disk_of(volume))

    def disks(self) -> list[Disk]:
        return [self.disk(mapping.volume_id) for mapping in self.volumes().values()]

    @property
    def root_volume(self) -> str:
        return str(self.instance.block_device_mapping[self.instance.root_device_name].volume_id)

    def root(self) -> Path:
        size = self.instance.block_device_mapping[self.instance.root_device_name].size
        return self._place.ensure_disk(self.root_volume, size, self._place.image)

    def addresses(self) -> set[str]:
        return {self.instance.public_ip} if self.instance.public_ip else set()

    def rules(self) -> list[Rule]:
        """What the instance's security groups let in."""
        found = []
        for group in self.instance.security_groups:
            for rule in group.ingress_rules:
                network = (rule.ip_range or {}).get("CidrIp")
                if network is None:
                    continue
                if rule.ip_protocol == "-1":
                    found.append(Rule(None, 0, 65535, network))
                else:
                    found.append(Rule(rule.ip_protocol, int(rule.from_port), int(rule.to_port), network))
        return found

    def grow_volume(self, volume: str, size_gib: int) -> bool:
        """False when nothing runs that would have to be told."""
        node = "root" if volume == self.root_volume else node_of(volume)
        return self.grow(node, self._place.disk_of(volume), size_gib)
