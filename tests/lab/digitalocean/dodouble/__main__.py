"""double [--machines]: starts everything, says where it is, ends with its standard input."""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import secrets
import signal
import sys
import traceback
from types import FrameType

from doubles.addresses import Addresses, lab_folder

from . import front
from .machines import Machines
from .world import World


def end(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def main() -> None:
    parse = argparse.ArgumentParser(prog="double", description=__doc__.partition(": ")[2])
    parse.add_argument("--machines", action="store_true", help="Droplets are virtual machines")
    image = lab_folder() / "debian-13-docker.qcow2"
    parse.add_argument("--image", type=pathlib.Path, default=image, help="what they boot (%(default)s)")
    args = parse.parse_args()
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at a terminal is for the test, whose end ends us
    world = World(Addresses().claim)
    if args.machines:
        world.machines = Machines(world, args.image)
    status = 1
    try:
        serve(world)
        status = 0
    except SystemExit:
        status = 0
    except Exception:
        traceback.print_exc()
    finally:
        if world.machines:
            world.machines.close()
        sys.stderr.flush()
        # Threads may be in the middle of a call; nobody waits for its answer.
        os._exit(status)


def serve(world: World) -> None:
    """Until the end of standard input."""
    token = f"dop_v1_{secrets.token_hex(32)}"
    server = front.start(world, token)
    endpoint = f"http://127.0.0.1:{server.server_port}"
    ready = {"endpoint": endpoint, "control": f"{endpoint}/lab", "token": token}
    ready["machines"] = str(world.machines.folder) if world.machines else None
    print(json.dumps(ready), flush=True)
    while sys.stdin.buffer.read(65536):
        pass


main()
