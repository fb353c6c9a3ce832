"""User-mode networking of a container: 10.0.2.0/24 with this computer's loopback at 10.0.2.2, as QEMU's, and nothing beyond."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

from .process import LAUNCHER, PATH, PRIVATE_IP

INTERFACE = "eth0"
Forward = tuple[str, str, int]


class Slirp:
    """The slirp4netns process of one network namespace."""

    def __init__(self, folder: Path, namespace: Path) -> None:
        self._api = folder / "network"
        self._api.unlink(missing_ok=True)
        self._ids: dict[Forward, int] = {}
        up, tell_up = os.pipe()
        command = [
            "setpriv", "--pdeathsig", "KILL", "slirp4netns", "--mtu=1500", f"--ready-fd={tell_up}", f"--api-socket={self._api}",
            "--netns-type=path", str(namespace), INTERFACE,
        ]  # fmt: skip
        log = folder / "network.log"
        self._popen = LAUNCHER.submit(self._start, command, log, tell_up).result()
        os.close(tell_up)
        with open(up, "rb") as waiting:
            if not waiting.read(1):
                raise RuntimeError(f"no network: {log.read_text()}")

    @staticmethod
    def _start(command: list[str], log: Path, tell_up: int) -> subprocess.Popen[bytes]:
        with open(log, "ab") as out:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, pass_fds=(tell_up,),
                env={"PATH": PATH},
            )  # fmt: skip

    @property
    def forwards(self) -> set[Forward]:
        return set(self._ids)

    def open(self, forward: Forward) -> None:
        protocol, address, port = forward
        answer = self._ask(
            "add_hostfwd", proto=protocol, host_addr=address, host_port=port, guest_addr=PRIVATE_IP, guest_port=port
        )
        self._ids[forward] = answer["id"]

    def close(self, forward: Forward) -> None:
        self._ask("remove_hostfwd", id=self._ids.pop(forward))

    def kill(self) -> None:
        self._popen.kill()
        self._popen.wait()

    def _ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._api))
            connection.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
            connection.shutdown(socket.SHUT_WR)
            answer: dict[str, Any] = json.loads(connection.makefile("rb").read())
        if "error" in answer:
            raise RuntimeError(f"{command} {arguments}: {answer['error']['desc']}")
        return answer.get("return", {})
