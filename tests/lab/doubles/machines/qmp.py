"""A QEMU process's monitor."""

from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

from .process import Refused

DEADLINE = 30.0  # seconds that a command or an event may take; under emulation QEMU itself stays quick


class QmpError(Refused):
    """QEMU refused a command, or is not there."""


class Qmp:
    """One connection. Commands of several threads take turns."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(DEADLINE)
        give_up = time.monotonic() + DEADLINE
        while True:
            try:
                self._socket.connect(str(path))
                break
            except OSError as error:
                if time.monotonic() > give_up:
                    raise QmpError(f"no monitor at {path}") from error
                time.sleep(0.05)
        self._lines = self._socket.makefile("rb")
        self._events: list[dict[str, Any]] = []
        self._read()
        self.execute("qmp_capabilities")

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def _read(self) -> dict[str, Any]:
        try:
            line = self._lines.readline()
        except OSError as error:
            raise QmpError(f"the monitor is silent: {error}") from error
        if not line:
            raise QmpError("QEMU has ended")
        message: dict[str, Any] = json.loads(line)
        if "event" in message:
            self._events.append(message)
        return message

    def execute(self, command: str, **arguments: Any) -> Any:
        """Runs a command; raises QmpError with what QEMU says against it."""
        with self._lock:
            try:
                self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
            except OSError as error:
                raise QmpError(f"QEMU has ended: {error}") from error
            while True:
                message = self._read()
                if "return" in message:
                    return message["return"]
                if "error" in message:
                    raise QmpError(f"{command}: {message['error']['desc']}")

    def human(self, line: str) -> None:
        """Runs a command that QMP has not; these answer nothing when all is well."""
        said = self.execute("human-monitor-command", **{"command-line": line}).strip()
        # "host forwarding rule for … removed" is no complaint.
        if said and not said.endswith(" removed"):
            raise QmpError(f"{line}: {said}")

    def unplug(self, device: str) -> None:
        """Takes a device away; returns when the guest has let go of it."""
        with self._lock:
            self._events.clear()
            self.execute("device_del", id=device)
            give_up = time.monotonic() + DEADLINE
            while not any(self._let_go(event, device) for event in self._events):
                if time.monotonic() > give_up:
                    raise QmpError(f"the guest does not let go of {device}")
                self._read()

    @staticmethod
    def _let_go(event: dict[str, Any], device: str) -> bool:
        return event["event"] == "DEVICE_DELETED" and bool(event.get("data", {}).get("device") == device)
