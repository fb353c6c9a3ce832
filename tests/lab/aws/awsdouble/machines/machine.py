"""One instance's machine: what the calls of EC2 mean for a process and its disks."""

from __future__ import annotations

import ipaddress
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPES

from . import qemu
from .metadata import Service
from .qmp import QmpError

POWERDOWN = 90.0  # seconds that a guest gets to shut down in order; then its power is cut, as EC2 does
CLIENT = ipaddress.ip_address("127.0.0.1")  # who comes to a machine: a program of this computer
WIDE = 64  # ports; of a rule for more than these, only the usual ones are opened
USUAL = {("tcp", 22), ("tcp", 80), ("tcp", 443), ("udp", 443)}


def open_ports(instance: Any) -> set[tuple[str, int]]:
    """What the instance's security groups let in from this computer."""
    found: set[tuple[str, int]] = set()
    for group in instance.security_groups:
        for rule in group.ingress_rules:
            network = (rule.ip_range or {}).get("CidrIp")
            if network is None or CLIENT not in ipaddress.ip_network(network, strict=False):
                continue
            protocols = ("tcp", "udp") if rule.ip_protocol == "-1" else (rule.ip_protocol,)
            first, last = (0, 65535) if rule.ip_protocol == "-1" else (int(rule.from_port), int(rule.to_port))
            for protocol in set(protocols) & {"tcp", "udp"}:
                if last - first < WIDE:
                    found.update((protocol, port) for port in range(first, last + 1))
                else:
                    found.update(usual for usual in USUAL if usual[0] == protocol and first <= usual[1] <= last)
    return found


class Machine:
    """The machine of one instance. Its public methods are called with the lock of the account held, one at a time."""

    def __init__(self, instance: Any, folder: Path, image: Path, disk_of: Callable[[str], Path]) -> None:
        self.instance, self.folder, self._image, self._disk_of = instance, folder, image, disk_of
        folder.mkdir()
        self._service = Service(instance, folder / "metadata", qemu.mac_of(instance.id), qemu.PRIVATE_IP)
        self.process: qemu.Process | None = None
        self._forwards: set[tuple[str, str, int]] = set()
        # Raised by whoever ends the process on purpose, so that its end is not taken for the guest's own doing.
        self._ending = threading.Event()

    def disks(self) -> dict[str, Any]:
        """Volumes by device; the root disk apart."""
        mappings = dict(self.instance.block_device_mapping)
        mappings.pop(self.instance.root_device_name, None)
        return mappings

    @property
    def root(self) -> str:
        return str(self.instance.block_device_mapping[self.instance.root_device_name].volume_id)

    def wanted_forwards(self) -> set[tuple[str, str, int]]:
        address = self.instance.public_ip
        return {(protocol, address, port) for protocol, port in open_ports(self.instance)} if address else set()

    def power_on(self, ended: Callable[[Machine], None]) -> None:
        """Starts it. `ended` is called, on a thread of its own, when the guest ends by itself."""
        kind = INSTANCE_TYPES[self.instance.instance_type]
        root = self._disk_of(self.root)
        if not root.exists():
            qemu.create_disk(root, self.instance.block_device_mapping[self.instance.root_device_name].size, self._image)
        forwards = self.wanted_forwards()
        command = qemu.arguments(
            self.folder, self.instance.id, self.instance.instance_type,
            int(kind["VCpuInfo"]["DefaultVCpus"]), int(kind["MemoryInfo"]["SizeInMiB"]), root, forwards,
        )  # fmt: skip
        self.process, self._forwards = qemu.Process(self.folder, command), forwards
        self._ending = threading.Event()
        for mapping in self.disks().values():
            self.process.plug(mapping.volume_id, self._disk_of(mapping.volume_id))
        watched = (self.process, self._ending, ended)
        threading.Thread(target=self._watch, args=watched, name=f"watch {self.instance.id}", daemon=True).start()

    def _watch(self, process: qemu.Process, ending: threading.Event, ended: Callable[[Machine], None]) -> None:
        process.wait()
        if not ending.is_set():
            ended(self)

    @property
    def on(self) -> bool:
        return self.process is not None and self.process.alive

    def power_off(self, gently: bool) -> None:
        """Shuts it down, or cuts its power."""
        self._ending.set()
        process = self.process
        if process is None:
            return
        if gently:
            try:
                process.monitor.execute("system_powerdown")
                process.wait(POWERDOWN)
            except QmpError:
                pass
        process.kill()
        process.monitor.close()
        if self.process is process:
            self.process = None

    def reset(self) -> None:
        if self.on and self.process:
            self.process.monitor.execute("system_reset")

    def sync_forwards(self) -> None:
        """Opens and closes what security groups and elastic addresses say now."""
        if not self.on or not self.process:
            return
        wanted = self.wanted_forwards()
        for protocol, address, port in sorted(self._forwards - wanted):
            self.process.monitor.human(f"hostfwd_remove net {protocol}:{address}:{port}")
        for protocol, address, port in sorted(wanted - self._forwards):
            self.process.monitor.human(f"hostfwd_add net {protocol}:{address}:{port}-:{port}")
        self._forwards = wanted

    def plug(self, volume: str) -> None:
        if self.on and self.process:
            self.process.plug(volume, self._disk_of(volume))

    def unplug(self, volume: str) -> None:
        if self.on and self.process:
            try:
                self.process.unplug(volume)
            except QmpError as error:
                # A guest that is not listening keeps the disk until its power goes; EC2 calls that `busy`.
                print(f"double: {self.instance.id}: {error}", file=sys.stderr)

    def grow(self, volume: str, size_gib: int) -> bool:
        """False when nothing runs that would have to be told."""
        if not self.on or not self.process:
            return False
        self.process.grow("root" if volume == self.root else volume.replace("-", ""), size_gib)
        return True

    def console(self) -> bytes:
        try:
            return (self.folder / "serial.log").read_bytes()[-65536:]
        except FileNotFoundError:
            return b""

    def remove(self) -> None:
        self.power_off(gently=False)
        self._service.close()
        shutil.rmtree(self.folder)
