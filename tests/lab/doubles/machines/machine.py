"""One machine: what calls of a cloud mean for a process and its disks. What it is and what hangs on it, each cloud says itself."""

from __future__ import annotations

import ipaddress
import shutil
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from .metadata import Handler, Service
from .process import Bus, Forwards, Hardware, Kind, Process, Refused, Seed

POWERDOWN = 90.0  # seconds that a guest gets to shut down in order
CLIENT = ipaddress.ip_address("127.0.0.1")  # who comes to a machine: a program of this computer
WIDE = 64  # ports; of a rule for more than these, only the usual ones are opened
USUAL = {("tcp", 22), ("tcp", 80), ("tcp", 443), ("udp", 443)}


@dataclass(frozen=True)
class Rule:
    """What a firewall lets in: a protocol (nothing for all of them), the ports, from which network."""

    protocol: str | None
    first: int
    last: int
    network: str


def open_ports(rules: Iterable[Rule]) -> set[tuple[str, int]]:
    """What these let in from this computer."""
    found: set[tuple[str, int]] = set()
    for rule in rules:
        if CLIENT not in ipaddress.ip_network(rule.network, strict=False):
            continue
        protocols = {"tcp", "udp"} & ({rule.protocol} if rule.protocol else {"tcp", "udp"})
        for protocol in protocols:
            if rule.last - rule.first < WIDE:
                found.update((protocol, port) for port in range(rule.first, rule.last + 1))
            else:
                found.update(one for one in USUAL if one[0] == protocol and rule.first <= one[1] <= rule.last)
    return found


@dataclass(frozen=True)
class Disk:
    """A disk on a machine: its name in QEMU, what the guest finds it by, its file."""

    node: str
    told: str
    file: Path


class Machine:
    """A machine. Its public methods are called with the lock of the account held, one at a time."""

    def __init__(self, name: str, kind: Kind, folder: Path, handler: type[Handler]) -> None:
        self.name, self.kind, self.folder = name, kind, folder
        folder.mkdir()
        self._service = Service(name, folder / "metadata", handler)
        self.process: Process | None = None
        self._forwards: Forwards = set()
        # Raised by whoever ends the process on purpose, so that its end is not taken for the guest's own doing.
        self._ending = threading.Event()

    # What each cloud says of its own

    def hardware(self) -> Hardware:
        """What it is at its next start."""
        raise NotImplementedError

    def bus(self) -> Bus:
        """How disks hang on it, anew for each start."""
        raise NotImplementedError

    def seed(self) -> Seed:
        """What it is told."""
        raise NotImplementedError

    def root(self) -> Path:
        """Its root disk, made if it is not there."""
        raise NotImplementedError

    def disks(self) -> list[Disk]:
        """What else hangs on it."""
        raise NotImplementedError

    def addresses(self) -> set[str]:
        """Where it is reached."""
        raise NotImplementedError

    def rules(self) -> list[Rule]:
        """What is let in."""
        raise NotImplementedError

    # What becomes of it

    def wanted_forwards(self) -> Forwards:
        ports = open_ports(self.rules())
        return {(protocol, address, port) for address in self.addresses() for protocol, port in ports}

    def power_on(self, ended: Callable[[Machine], None]) -> None:
        """Starts it. `ended` is called, on a thread of its own, when the guest ends by itself."""
        forwards = self.wanted_forwards()
        self.process = self.kind.start(self.folder, self.hardware(), self.bus(), self.root(), self.seed(), forwards)
        self._forwards = forwards
        self._ending = threading.Event()
        for disk in self.disks():
            self.plug(disk)
        watched = (self.process, self._ending, ended)
        threading.Thread(target=self._watch, args=watched, name=f"watch {self.name}", daemon=True).start()

    def _watch(self, process: Process, ending: threading.Event, ended: Callable[[Machine], None]) -> None:
        process.wait()
        if not ending.is_set():
            ended(self)

    @property
    def on(self) -> bool:
        return self.process is not None and self.process.alive

    def ask_to_end(self) -> None:
        """Presses the button; what the guest makes of it is its own doing."""
        if self.on and self.process:
            self.process.press_button()

    def power_off(self, gently: bool) -> None:
        """Shuts it down, or cuts its power; a guest that does not follow loses it too."""
        self._ending.set()
        process = self.process
        if process is None:
            return
        if gently:
            process.press_button()
            process.wait(POWERDOWN)
        process.kill()
        if self.process is process:
            self.process = None

    def reset(self) -> None:
        if self.on and self.process:
            self.process.reset()

    def sync_forwards(self) -> None:
        """Opens and closes what its firewall and its addresses say now."""
        if not self.on or not self.process:
            return
        wanted = self.wanted_forwards()
        self.process.forward(self._forwards - wanted, wanted - self._forwards)
        self._forwards = wanted

    def plug(self, disk: Disk) -> None:
        if self.on and self.process:
            self.process.plug(disk.node, disk.told, disk.file)

    def unplug(self, node: str) -> None:
        if self.on and self.process:
            try:
                self.process.unplug(node)
            except Refused as error:
                # A guest that is not listening keeps the disk until its power goes.
                print(f"double: {self.name}: {error}", file=sys.stderr)

    def grow(self, node: str, file: Path, size_gib: int) -> bool:
        """False when nothing runs that would have to be told."""
        if not self.on or not self.process:
            return False
        self.process.grow(node, file, size_gib)
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
