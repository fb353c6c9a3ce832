"""The process that is an instance: its arguments, its disks, its monitor."""

from __future__ import annotations

import concurrent.futures
import hashlib
import shlex
import subprocess
from pathlib import Path

from .qmp import Qmp

HERE = Path(__file__).resolve().parent
SYSTEM = "qemu-system-x86_64"
PRIVATE_IP = "10.0.2.15"
SLOTS = 4  # disks beside the root disk
# A machine may be told to have less than its type has, so that some run side by side.
CPUS, MEMORY_MIB = 2, 4096

# The kernel kills a process with its "parent death signal" when the *thread* that started it ends; this one never does.
LAUNCHER = concurrent.futures.ThreadPoolExecutor(1, "launcher")


def run(*words: object) -> None:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"failed to run {words[0]} {words[1]}: {done.stderr.strip()}")


def create_disk(file: Path, size_gib: int, base: Path | None) -> None:
    """An empty disk, or one that begins as a copy of an image."""
    origin = ["-b", str(base.resolve()), "-F", "qcow2"] if base else []
    run("qemu-img", "create", "-q", "-f", "qcow2", *origin, file, f"{size_gib}G")


def grow_disk(file: Path, size_gib: int) -> None:
    run("qemu-img", "resize", "-q", file, f"{size_gib}G")


def value(text: object) -> str:
    """A value among QEMU's options, where a comma separates."""
    return str(text).replace(",", ",,")


def mac_of(instance: str) -> str:
    """From the instance, so that it is the same after a stop."""
    digest = hashlib.sha256(instance.encode()).hexdigest()
    return "02:" + ":".join(digest[place : place + 2] for place in range(0, 10, 2))


def uuid_of(instance: str) -> str:
    """EC2's begin with ec2: that is how cloud-init knows where it is."""
    digest = hashlib.sha256(instance.encode()).hexdigest()
    return f"ec2{digest[:5]}-{digest[5:9]}-4{digest[10:13]}-8{digest[14:17]}-{digest[17:29]}"


def network(metadata: Path, forwards: set[tuple[str, str, int]]) -> str:
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


def arguments(
    folder: Path, instance: str, kind: str, cpus: int, memory_mib: int, root: Path, forwards: set[tuple[str, str, int]]
) -> list[str]:
    uuid = uuid_of(instance)
    system = f"type=1,manufacturer=Amazon EC2,product={kind},uuid={uuid},serial={uuid}"
    words = [
        SYSTEM, "-nodefaults", "-no-user-config", "-name", f"guest={instance}", "-display", "none",
        # As the local provider starts its machines under emulation.
        "-machine", "q35,sata=off,smbus=off", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "Nehalem",
        "-smp", str(min(cpus, CPUS)), "-m", str(min(memory_mib, MEMORY_MIB)), "-rtc", "base=utc", "-smbios", system,
        "-blockdev", f"qcow2,node-name=root,discard=unmap,file.driver=file,file.filename={value(root)}",
        "-device", "virtio-blk-pci,id=root,drive=root,addr=0x2,bootindex=0",
        "-netdev", network(folder / "metadata", forwards),
        "-device", f"virtio-net-pci,netdev=net,romfile=,addr=0x5,mac={mac_of(instance)}",
        "-device", "virtio-rng-pci,addr=0x6",
        "-chardev", f"file,id=serial,append=on,path={value(folder / 'serial.log')}", "-serial", "chardev:serial",
        "-chardev", f"socket,id=qmp,server=on,wait=off,path={value(folder / 'qmp')}", "-mon", "chardev=qmp,mode=control",
    ]  # fmt: skip
    for slot in range(1, SLOTS + 1):
        words += ["-device", f"pcie-root-port,id=slot{slot},chassis={slot},slot={slot},addr={7 + slot:#x}"]
    return words


class Process:
    """A running QEMU."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        self.monitor_path = folder / "qmp"
        self.monitor_path.unlink(missing_ok=True)
        self.log = folder / "qemu.log"
        self._popen = LAUNCHER.submit(self._start, command).result()
        try:
            self.monitor = Qmp(self.monitor_path)
        except Exception as error:
            self.kill()
            raise RuntimeError(f"QEMU did not start: {self.log.read_text().strip()}") from error
        self._slots: dict[str, int] = {}

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
        """Whether it has ended within that time."""
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        self._popen.kill()
        self._popen.wait()

    def plug(self, volume: str, file: Path) -> None:
        """A disk whose serial number is the volume's id without its dash, as on AWS."""
        slot = min(set(range(1, SLOTS + 1)) - set(self._slots.values()), default=None)
        if slot is None:
            raise RuntimeError(f"a machine of the lab takes {SLOTS} volumes")
        node = volume.replace("-", "")
        driver = {"driver": "file", "filename": str(file)}
        self.monitor.execute(
            "blockdev-add", **{"driver": "qcow2", "node-name": node, "discard": "unmap", "file": driver}
        )
        self.monitor.execute(
            "device_add", driver="virtio-blk-pci", id=f"disk-{node}", drive=node, serial=node, bus=f"slot{slot}"
        )
        self._slots[volume] = slot

    def unplug(self, volume: str) -> None:
        node = volume.replace("-", "")
        self.monitor.unplug(f"disk-{node}")
        self.monitor.execute("blockdev-del", **{"node-name": node})
        del self._slots[volume]

    def grow(self, node: str, size_gib: int) -> None:
        """The guest is told of it."""
        self.monitor.execute("block_resize", **{"node-name": node, "size": size_gib << 30})
