"""What runs a machine: a virtual machine or a container of this computer, as the machine's cloud drives either."""

from __future__ import annotations

import concurrent.futures
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

PRIVATE_IP = "10.0.2.15"
# Protocol, address of this computer, port.
Forwards = set[tuple[str, str, int]]

# The kernel kills a process with its "parent death signal" when the *thread* that started it ends; this one never does.
LAUNCHER = concurrent.futures.ThreadPoolExecutor(1, "launcher")

# Programs of an administrator are wanted, too.
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

# Which kind: `qemu` or `container`; containers where they run, unless it says otherwise.
CHOICE = "PROVISION_LAB_MACHINES"


class Refused(Exception):
    """What was asked for cannot be."""


def run(*words: object) -> str:
    """What a command has to say; raises RuntimeError with its complaint."""
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False, env={**os.environ, "PATH": PATH}
    )
    if done.returncode:
        raise RuntimeError(f"failed to run {words[0]} {words[1]}: {done.stderr.strip()}")
    return done.stdout.strip()


@dataclass
class Hardware:
    """What a machine is at its next start."""

    name: str
    # The values of the SMBIOS table that says whose machine it is; cloud-init reads it.
    system: str
    cpus: int
    memory_mib: int


@dataclass
class Seed:
    """What cloud-init is told where it cannot ask for it."""

    user_data: bytes
    meta_data: Mapping[str, Any]


class Bus(Protocol):
    """How a cloud's volumes hang on its machines: a disk is named by its node, and `told` is what the guest finds it by."""

    def arguments(self) -> list[str]: ...

    def device(self, node: str, told: str) -> dict[str, Any]: ...

    def freed(self, node: str) -> None: ...

    def link(self, told: str) -> str:
        """Its name in the guest's `/dev/disk/by-id`."""
        ...


class Process(Protocol):
    """A machine that runs."""

    @property
    def alive(self) -> bool: ...

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it has ended within that time."""
        ...

    def press_button(self) -> None:
        """The guest is asked to shut down; what it makes of it is its own doing."""
        ...

    def reset(self) -> None: ...

    def kill(self) -> None: ...

    def forward(self, gone: Forwards, new: Forwards) -> None: ...

    def plug(self, node: str, told: str, file: Path) -> None: ...

    def unplug(self, node: str) -> None: ...

    def grow(self, node: str, file: Path, size_gib: int) -> None:
        """The guest is told of it."""
        ...


class Kind(Protocol):
    """A way to run machines. A module is one."""

    SUFFIX: str

    def create_disk(self, file: Path, size_gib: int, base: Path | None) -> None:
        """An empty disk, or one that begins as a copy of an image."""
        ...

    def grow_disk(self, file: Path, size_gib: int) -> None:
        """While nothing runs that has it."""
        ...

    def start(self, folder: Path, hardware: Hardware, bus: Bus, root: Path, seed: Seed, forwards: Forwards) -> Process: ...


def kind() -> Kind:
    """The one that this run asks for, or the quicker one."""
    from . import container, qemu

    asked = os.environ.get(CHOICE)
    if asked not in (None, "qemu", "container"):
        raise SystemExit(f"double: {CHOICE} is `{asked}`; it may be `qemu` or `container`")
    if asked == "qemu":
        return qemu
    missing = container.lacks()
    if missing is None:
        return container
    if asked:
        raise SystemExit(f"double: no containers here, for want of {missing}")
    print(f"double: machines are emulated: containers would want {missing}", file=sys.stderr)
    return qemu
