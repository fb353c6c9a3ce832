"""Public addresses: loopback addresses that no other double on this computer has."""

from __future__ import annotations

import fcntl
import os
import random
import threading
from pathlib import Path

SPACE = 254 * 250  # 127.78.0.1 to 127.78.249.254


def lab_folder() -> Path:
    """Where the lab's artefacts lie; as in lab.sh."""
    if given := os.environ.get("PROVISION_LAB_DIR"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "provision-lab"


class Addresses:
    """Claims addresses for as long as this process lives: one byte of a file is locked for each."""

    def __init__(self) -> None:
        folder = lab_folder()
        folder.mkdir(parents=True, exist_ok=True)
        self._file = open(folder / "addresses.lock", "ab")  # noqa: SIM115
        self._lock = threading.Lock()
        self._next = random.randrange(SPACE)
        self._mine: set[int] = set()

    def close(self) -> None:
        self._file.close()

    def claim(self) -> str:
        with self._lock:
            for _ in range(SPACE):
                number, self._next = self._next, (self._next + 1) % SPACE
                if number not in self._mine and self._take(number):
                    self._mine.add(number)
                    # Neither .0 nor .255.
                    return f"127.78.{number // 254}.{number % 254 + 1}"
        raise RuntimeError("no free address in 127.78.0.0/16")

    def _take(self, number: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
        except OSError:
            return False
        return True
