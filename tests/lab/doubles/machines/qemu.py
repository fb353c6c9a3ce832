"""The process that is a machine: its arguments, its disks, its monitor."""

from __future__ import annotations

import contextlib
import hashlib
import shlex
import subprocess
from pathlib import Path
from typing import Any

from .process import LAUNCHER, PRIVATE_IP, Bus, Forwards, Hardware, Seed, run
from .qmp import Qmp, QmpError

HERE = Path(__file__).resolve().parent
SYSTEM = "qemu-system-x86_64"
SUFFIX = "qcow2"
SLOTS = 4  # disks beside the root disk
# A machine may be told to have less than its type has, so that some run side by side.
CPUS, MEMORY_MIB = 2, 8192


def create_disk(file: Path, size_gib: int, base: Path | None) -> None:
    """An empty disk, or one that begins as a copy of an image."""
    origin = ["-b", str(base.resolve()), "-F", "qcow2"] if base else []
    run("qemu-img", "create", "-q", "-f", "qcow2", *origin, file, f"{size_gib}G")


def grow_disk(file: Path, size_gib: int) -> None:
    run("qemu-img", "resize", "-q", file, f"{size_gib}G")


def value(text: object) -> str:
    """A value among QEMU's options, where a comma separates."""
    return str(text).replace(",", ",,")


def mac_of(machine: str) -> str:
    """From the machine's name, so that it is the same after a stop."""
    digest = hashlib.sha256(machine.encode()).hexdigest()
    return "02:" + ":".join(digest[place : place + 2] for place in range(0, 10, 2))


class Slots:
    """Virtio disks, each in a slot of its own; the guest finds them by their serial number."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def arguments(self) -> list[str]:
        words = []
        for slot in range(1, SLOTS + 1):
            words += ["-device", f"pcie-root-port,id=slot{slot},chassis={slot},slot={slot},addr={7 + slot:#x}"]
        return words

    def device(self, node: str, told: str) -> dict[str, Any]:
        slot = min(set(range(1, SLOTS + 1)) - set(self._taken.values()), default=None)
        if slot is None:
            raise RuntimeError(f"a machine of the lab takes {SLOTS} volumes")
        self._taken[node] = slot
        return {"driver": "virtio-blk-pci", "serial": told, "bus": f"slot{slot}"}

    def freed(self, node: str) -> None:
        del self._taken[node]

    def link(self, told: str) -> str:
        # A rule of the lab's image; see image/customize.
        return f"nvme-Amazon_Elastic_Block_Store_{told}"


class Scsi:
    """SCSI disks of one controller, as DigitalOcean's are; the guest finds them by maker, kind and identifier."""

    def __init__(self, vendor: str, product: str) -> None:
        self._vendor, self._product = vendor, product

    def arguments(self) -> list[str]:
        return ["-device", "virtio-scsi-pci,id=scsi,addr=0x7"]

    def device(self, node: str, told: str) -> dict[str, Any]:
        names = {"vendor": self._vendor, "product": self._product, "device_id": told}
        return {"driver": "scsi-hd", "bus": "scsi.0", **names}

    def freed(self, node: str) -> None:
        """A controller has room for more than anybody hangs on it."""

    def link(self, told: str) -> str:
        return f"scsi-0{self._vendor}_{self._product}_{told}"


def network(metadata: Path, forwards: Forwards) -> str:
    """User-mode networking, with every address of the world in the machine's own network: a `guestfwd` must be in it,
    and so must 10.0.2.2, which is this computer's loopback. Connections to anywhere else are refused at once; names are asked of
    this computer's resolver, at 10.0.2.3.
    """
    service = value(f"cmd:{shlex.quote(str(HERE / 'pipe'))} {shlex.quote(str(metadata))}")
    words = [
        "user,id=net,ipv6=off,net=0.0.0.0/0.0.0.0,host=10.0.2.2,dns=10.0.2.3",
        f"dhcpstart={PRIVATE_IP}",
        f"guestfwd=tcp:169.254.169.254:80-{service}",
    ]
    words += [f"hostfwd={protocol}:{address}:{port}-:{port}" for protocol, address, port in sorted(forwards)]
    return ",".join(words)


def arguments(folder: Path, hardware: Hardware, root: Path, forwards: Forwards) -> list[str]:
    """How a machine is started; its bus comes after that. The metadata service is at `metadata` in its folder."""
    cpus, memory = min(hardware.cpus, CPUS), min(hardware.memory_mib, MEMORY_MIB)
    return [
        SYSTEM, "-nodefaults", "-no-user-config", "-name", f"guest={value(hardware.name)}", "-display", "none",
        # As the local provider starts its machines under emulation.
        "-machine", "q35,sata=off,smbus=off", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "Nehalem",
        "-smp", str(cpus), "-m", str(memory), "-rtc", "base=utc", "-smbios", f"type=1,{hardware.system}",
        "-blockdev", f"qcow2,node-name=root,discard=unmap,file.driver=file,file.filename={value(root)}",
        "-device", "virtio-blk-pci,id=root,drive=root,addr=0x2,bootindex=0",
        "-netdev", network(folder / "metadata", forwards),
        "-device", f"virtio-net-pci,netdev=net,romfile=,addr=0x5,mac={mac_of(hardware.name)}",
        "-device", "virtio-rng-pci,addr=0x6",
        "-chardev", f"file,id=serial,append=on,path={value(folder / 'serial.log')}", "-serial", "chardev:serial",
        "-chardev", f"socket,id=qmp,server=on,wait=off,path={value(folder / 'qmp')}", "-mon", "chardev=qmp,mode=control",
    ]  # fmt: skip


class Process:
    """A running QEMU."""

    def __init__(self, folder: Path, command: list[str], bus: Bus) -> None:
        self.monitor_path = folder / "qmp"
        self.monitor_path.unlink(missing_ok=True)
        self.log = folder / "qemu.log"
        self._bus = bus
        self._popen = LAUNCHER.submit(self._start, [*command, *bus.arguments()]).result()
        try:
            self.monitor = Qmp(self.monitor_path)
        except Exception as error:
            self._popen.kill()
            self._popen.wait()
            raise RuntimeError(f"QEMU did not start: {self.log.read_text().strip()}") from error

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        with open(self.log, "wb") as log:
            # setpriv: it ends with us, even when we are killed.
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def wait(self, seconds: float | None = None) -> bool:
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        self._popen.kill()
        self._popen.wait()
        self.monitor.close()

    def press_button(self) -> None:
        # It may be just ending.
        with contextlib.suppress(QmpError):
            self.monitor.execute("system_powerdown")

    def reset(self) -> None:
        self.monitor.execute("system_reset")

    def forward(self, gone: Forwards, new: Forwards) -> None:
        for protocol, address, port in sorted(gone):
            self.monitor.human(f"hostfwd_remove net {protocol}:{address}:{port}")
        for protocol, address, port in sorted(new):
            self.monitor.human(f"hostfwd_add net {protocol}:{address}:{port}-:{port}")

    def plug(self, node: str, told: str, file: Path) -> None:
        device = self._bus.device(node, told)
        driver = {"driver": "file", "filename": str(file)}
        self.monitor.execute(
            "blockdev-add", **{"driver": "qcow2", "node-name": node, "discard": "unmap", "file": driver}
        )
        self.monitor.execute("device_add", id=f"disk-{node}", drive=node, **device)

    def unplug(self, node: str) -> None:
        self.monitor.unplug(f"disk-{node}")
        self.monitor.execute("blockdev-del", **{"node-name": node})
        self._bus.freed(node)

    def grow(self, node: str, file: Path, size_gib: int) -> None:
        self.monitor.execute("block_resize", **{"node-name": node, "size": size_gib << 30})


def start(folder: Path, hardware: Hardware, bus: Bus, root: Path, _: Seed, forwards: Forwards) -> Process:
    """Its user-data it asks for, as at its cloud."""
    return Process(folder, arguments(folder, hardware, root, forwards), bus)
