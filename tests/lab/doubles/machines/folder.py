"""The folder that the machines of one double live in."""

from __future__ import annotations

import fcntl
import shutil
import socket
import tempfile
from pathlib import Path

from . import container
from .process import kind


class Folder:
    """It goes with the double, or with the next one when that was killed."""

    def __init__(self, prefix: str, image: Path) -> None:
        if not image.exists():
            raise SystemExit(f"double: there is no image {image}; run tests/lab/images first")
        may_bind()
        self.image = image
        self.kind = kind()
        parent = tempfile.gettempdir()
        sweep(Path(parent), prefix)
        self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        self._hold = open(self.path / "lock", "wb")  # noqa: SIM115
        fcntl.flock(self._hold, fcntl.LOCK_EX)
        (self.path / "volumes").mkdir()

    def disk_of(self, volume: str) -> Path:
        return self.path / "volumes" / f"{volume}.{self.kind.SUFFIX}"

    def ensure_disk(self, volume: str, size_gib: int, base: Path | None = None) -> Path:
        """A volume's file, made if it is not there."""
        file = self.disk_of(volume)
        if not file.exists():
            self.kind.create_disk(file, size_gib, base)
        return file

    def grow_disk(self, volume: str, size_gib: int) -> None:
        """While nothing runs that has it."""
        self.kind.grow_disk(self.disk_of(volume), size_gib)

    def drop_disk(self, volume: str) -> None:
        self.disk_of(volume).unlink(missing_ok=True)

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._hold.close()


def sweep(parent: Path, prefix: str) -> None:
    """Removes what doubles left that were killed: nobody locks it."""
    container.sweep()
    for folder in parent.glob(f"{prefix}*"):
        try:
            with open(folder / "lock", "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                container.release(folder)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue


def may_bind() -> None:
    """Machines have their real ports, and those below 1024 are not for everyone."""
    try:
        with socket.socket() as probe:
            probe.bind(("127.78.255.254", 22))
    except PermissionError:
        raise SystemExit(
            "double: machines need ports below 1024: run as root, or run: sudo sysctl"
            " net.ipv4.ip_unprivileged_port_start=22"
        ) from None
    except OSError:
        raise SystemExit(
            "double: port 22 is taken on every address of this computer; let its sshd listen on its own: ListenAddress"
        ) from None
