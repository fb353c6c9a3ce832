"""machine --image FILE --address ADDRESS [--ports LIST] --user-data FILE: a host of somebody, without a cloud around it.

Prints where it lives once it has begun to boot; ends with its standard input.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import signal
import sys
from types import FrameType

from doubles.machines import metadata, qemu
from doubles.machines.folder import Folder
from doubles.machines.machine import Disk, Machine, Rule
from doubles.machines.process import Bus, Hardware, Seed

PREFIX = "provision-host-"
NAME = "host"
META_DATA = {"instance-id": NAME, "local-hostname": NAME}


class Handler(metadata.Handler):
    """Answers cloud-init, which is told of the seed by the vendor's serial number."""

    documents: dict[str, bytes]

    def do_GET(self) -> None:
        body = self.documents.get(self.path)
        self.reply(404 if body is None else 200, body or b"")


class Host(Machine):
    """A machine with one disk, some ports and a user-data."""

    def __init__(self, place: Folder, address: str, ports: list[int], user_data: bytes) -> None:
        self._place, self._address, self._ports, self._user_data = place, address, ports, user_data
        documents = {"/meta-data": json.dumps(META_DATA).encode(), "/user-data": user_data, "/vendor-data": b""}
        handler = type("Handler", (Handler,), {"documents": documents})
        super().__init__(NAME, place.kind, place.path / NAME, handler)

    def hardware(self) -> Hardware:
        return Hardware(NAME, "serial=ds=nocloud;s=http://169.254.169.254/", 2, 2048)

    def bus(self) -> Bus:
        return qemu.Slots()

    def seed(self) -> Seed:
        return Seed(self._user_data, META_DATA)

    def root(self) -> pathlib.Path:
        return self._place.ensure_disk(NAME, 10, self._place.image)

    def disks(self) -> list[Disk]:
        return []

    def addresses(self) -> set[str]:
        return {self._address}

    def rules(self) -> list[Rule]:
        return [Rule("tcp", port, port, "0.0.0.0/0") for port in self._ports]


def end(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def main() -> None:
    parse = argparse.ArgumentParser(prog="machine", description=__doc__.partition(": ")[2])
    parse.add_argument("--image", type=pathlib.Path, required=True)
    parse.add_argument("--address", required=True, help="a loopback address of this computer")
    parse.add_argument("--ports", default="22", help="which of its ports are there, with commas (%(default)s)")
    parse.add_argument("--user-data", type=pathlib.Path, required=True)
    args = parse.parse_args()
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at a terminal is for the test, whose end ends us
    place = Folder(PREFIX, args.image)
    ports = [int(port) for port in args.ports.split(",")]
    host = Host(place, args.address, ports, args.user_data.read_bytes())
    try:
        host.power_on(lambda _: os.kill(os.getpid(), signal.SIGTERM))
        print(json.dumps({"folder": str(host.folder)}), flush=True)
        while sys.stdin.buffer.read(65536):
            pass
    finally:
        host.power_off(gently=False)
        place.close()


if __name__ == "__main__":
    main()
