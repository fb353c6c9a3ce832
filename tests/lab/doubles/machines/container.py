"""The process that is a machine, where the kernel is this computer's own: a system container with an init, an sshd, a Docker, a network and
disks of its own. It boots in seconds where a processor without virtualisation emulates one for minutes.

What only a virtual machine has: a kernel and firmware of its own, devices that come and go by themselves, SMBIOS, a console, a metadata
service at 169.254.169.254. Its user-data lies on its disk instead, where cloud-init looks for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from .process import LAUNCHER, PATH, PRIVATE_IP, Bus, Forwards, Hardware, Seed, run
from .slirp import INTERFACE, Slirp

HERE = Path(__file__).resolve().parent
NAMESPACES = ["--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child"]
NEEDS = ("unshare", "setpriv", "slirp4netns", "losetup", "sfdisk", "blkid", "e2fsck", "resize2fs")
SUFFIX = "raw"
LINGER = 5.0  # seconds that the last process of one that was killed may take


def lacks() -> str | None:
    """What this computer has not that it would need; nothing when containers run here."""
    if os.geteuid() != 0:
        return "root"
    for command in NEEDS:
        if not shutil.which(command, path=PATH):
            return command
    if cgroups() is None:
        return "cgroup2"
    filesystems = Path("/proc/filesystems").read_text().split()
    if "overlay" not in filesystems:
        return "overlay in /proc/filesystems"
    tried = subprocess.run(["unshare", *NAMESPACES, "true"], capture_output=True, check=False)
    return None if tried.returncode == 0 else "namespaces of its own"


def cgroups() -> Path | None:
    """Where the one hierarchy of control groups is mounted that systemd of today knows."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, options, *_ = line.split()
        if kind == "cgroup2" and options.split(",")[0] == "rw":
            return Path(place)
    return None


def create_disk(file: Path, size_gib: int, base: Path | None) -> None:
    """An empty disk, or one that begins as a copy of an image."""
    if base:
        run("qemu-img", "convert", "-O", "raw", base.resolve(), file)
    with open(file, "ab") as disk:
        disk.truncate(size_gib << 30)


def grow_disk(file: Path, size_gib: int) -> None:
    os.truncate(file, size_gib << 30)


def root_partition(file: Path) -> int:
    """Where the last partition begins, in bytes: the root file system's."""
    table = json.loads(run("sfdisk", "--json", file))["partitiontable"]
    return int(table["partitions"][-1]["start"]) * int(table["sectorsize"])


def detach(loop: Path) -> None:
    """It goes when the last file system on it is gone; who else had it may have let it go before."""
    with contextlib.suppress(RuntimeError):
        run("losetup", "--detach", loop)


def label_on(device: Path) -> str:
    """The label of its file system, if there is one."""
    with contextlib.suppress(RuntimeError):
        return run("blkid", "--probe", "--match-tag", "LABEL", "--output", "value", device)
    return ""


def release(folder: Path) -> None:
    """The devices of disks in this folder."""
    for line in run("losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE").splitlines():
        device, _, file = line.partition(" ")
        if file.strip().startswith(f"{folder}/"):
            detach(Path(device))


def sweep() -> None:
    """The control groups of doubles that were killed."""
    hierarchy = cgroups()
    for group in hierarchy.glob("provision-lab-*") if hierarchy else ():
        if not Path(f"/proc/{group.name.split('-')[2]}").exists():
            remove_cgroups(group)


def remove_cgroups(top: Path) -> None:
    for folder, _, _ in os.walk(top, topdown=False):
        # One that a process is still leaving is tried again, by us or by the next double.
        with contextlib.suppress(OSError):
            os.rmdir(folder)


def write_seed(folder: Path, seed: Seed) -> None:
    """The documents as cloud-init looks for them in `/var/lib/cloud/seed/nocloud`."""
    place = folder / "seed"
    place.mkdir(exist_ok=True)
    network = {"version": 2, "ethernets": {INTERFACE: {"addresses": [f"{PRIVATE_IP}/24"]}}}
    documents = {
        "user-data": seed.user_data,
        "meta-data": json.dumps(seed.meta_data).encode(),
        "network-config": json.dumps(network).encode(),
    }
    for name, document in documents.items():
        (place / name).write_bytes(document)


class Process:
    """A running container."""

    def __init__(self, folder: Path, name: str, bus: Bus, root: Path, seed: Seed, forwards: Forwards) -> None:
        self._folder, self._bus, self._root = folder, bus, root
        write_seed(folder, seed)
        hierarchy = cgroups()
        assert hierarchy is not None
        self._cgroup = hierarchy / f"provision-lab-{os.getpid()}-{name}"
        # By node: the name in /dev/disk/by-id, and the device here.
        self._loops: dict[str, tuple[str, Path]] = {}
        self._lock = threading.RLock()
        self._killed = self._again = False
        self._ended = threading.Event()
        self._start(forwards)
        threading.Thread(target=self._watch, name=f"container {name}", daemon=True).start()

    def _start(self, forwards: Forwards) -> None:
        self._cgroup.mkdir(exist_ok=True)
        ready, tell_ready = os.pipe()
        go, tell_go = os.pipe()
        command = [
            # setpriv: it ends with us, even when we are killed.
            "setpriv", "--pdeathsig", "KILL",
            str(HERE / "enter-cgroup"), str(self._cgroup), "unshare", *NAMESPACES,
            str(HERE / "boot"), str(self._root), str(root_partition(self._root)), str(self._folder), str(tell_ready), str(go),
        ]  # fmt: skip
        with open(self._folder / "serial.log", "ab") as log:
            self._popen = LAUNCHER.submit(
                lambda: subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                    pass_fds=(tell_ready, go), env={"PATH": PATH},
                )
            ).result()  # fmt: skip
        os.close(tell_ready)
        os.close(go)
        with open(ready, "rb") as waiting:
            if not waiting.readline():
                os.close(tell_go)
                self._popen.wait()
                raise RuntimeError(f"the container did not start: {(self._folder / 'serial.log').read_text()[-2000:]}")
            self._network = Slirp(self._folder, Path(f"/proc/{self._popen.pid}/ns/net"))
            os.write(tell_go, b"go\n")
            os.close(tell_go)
            # The root is its own.
            waiting.readline()
        for forward in sorted(forwards):
            self._network.open(forward)

    def _watch(self) -> None:
        """A guest that restarts itself comes back; one that turns itself off has ended."""
        try:
            while True:
                status = self._popen.wait()
                with self._lock:
                    # Asked under the lock: whoever kills it meanwhile waits for its end.
                    if self._killed or not (self._again or status == -signal.SIGHUP):
                        break
                    self._again = False
                    self._restart()
        finally:
            self._network.kill()
            self._ended.set()

    def _restart(self) -> None:
        forwards = self._network.forwards
        self._network.kill()
        self._start(forwards)
        for link, loop in self._loops.values():
            self._show(link, loop)

    @property
    def alive(self) -> bool:
        return not self._ended.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it has ended within that time."""
        return self._ended.wait(seconds)

    def press_button(self) -> None:
        self._signal(signal.SIGRTMIN + 4)

    def reset(self) -> None:
        """All of it is gone at once, and begins again."""
        with self._lock:
            self._again = True
            self._popen.kill()

    def kill(self) -> None:
        with self._lock:
            self._killed = True
            self._popen.kill()
        self._ended.wait()
        for _, loop in self._loops.values():
            detach(loop)
        self._loops.clear()
        self._remove_cgroups()

    def _remove_cgroups(self) -> None:
        give_up = time.monotonic() + LINGER
        while self._cgroup.exists() and time.monotonic() < give_up:
            remove_cgroups(self._cgroup)
            time.sleep(0.02)

    def _init(self) -> int:
        """The process number of its init, seen from here."""
        pid = self._popen.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])

    def _signal(self, number: int) -> None:
        try:
            os.kill(self._init(), number)
        except (OSError, IndexError):
            # It is just ending.
            return

    def forward(self, gone: Forwards, new: Forwards) -> None:
        with self._lock:
            for one in sorted(gone):
                self._network.close(one)
            for one in sorted(new):
                self._network.open(one)

    def plug(self, node: str, name: str, file: Path) -> None:
        with self._lock:
            self._loops[node] = (self._bus.link(name), Path(run("losetup", "--find", "--show", file)))
            self._show(*self._loops[node])

    def _show(self, link: str, loop: Path) -> None:
        """What udev would do: a device's names, by whose it is and by the label on it."""
        devices = self._devices()
        os.mknod(devices / loop.name, stat.S_IFBLK | 0o660, loop.stat().st_rdev)
        names = [f"by-id/{link}"]
        if label := label_on(loop):
            names.append(f"by-label/{label}")
        for name in names:
            place = devices / "disk" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(f"../../{loop.name}")

    def _devices(self) -> Path:
        return Path(f"/proc/{self._init()}/root/dev")

    def unplug(self, node: str) -> None:
        with self._lock:
            _, loop = self._loops.pop(node)
            devices = self._devices()
            for name in (devices / "disk").glob("*/*"):
                if os.readlink(name) == f"../../{loop.name}":
                    name.unlink()
            (devices / loop.name).unlink(missing_ok=True)
            detach(loop)

    def grow(self, node: str, file: Path, size_gib: int) -> None:
        grow_disk(file, size_gib)
        if node in self._loops:
            run("losetup", "--set-capacity", self._loops[node][1])


def start(folder: Path, hardware: Hardware, bus: Bus, root: Path, seed: Seed, forwards: Forwards) -> Process:
    """It has as many processors and as much memory as this computer."""
    return Process(folder, hardware.name, bus, root, seed, forwards)
