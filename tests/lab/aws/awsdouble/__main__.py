"""double [--machines] [--authorize]: starts everything, says where it is, ends with its standard input."""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import signal
import sys
import traceback
from types import FrameType

from doubles import addresses

from . import proxy, server
from .machines import hooks
from .policy import Permissions


def end(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def main(arguments: list[str] | None = None) -> None:
    parse = argparse.ArgumentParser(prog="double", description=__doc__.partition(": ")[2])
    parse.add_argument("--machines", action="store_true", help="instances are virtual machines")
    parse.add_argument("--authorize", action="store_true", help="calls need permissions; see README.md")
    image = addresses.lab_folder() / "debian-13-docker.qcow2"
    parse.add_argument("--image", type=pathlib.Path, default=image, help="what they boot (%(default)s)")
    args = parse.parse_args(arguments)
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at a terminal is for the test, whose end ends us

    machines = None
    if args.machines:
        machines = hooks.Machines(args.image)
        hooks.install(machines)
    status = 1
    try:
        serve(args.authorize, machines)
        status = 0
    except SystemExit:
        status = 0
    except Exception:
        traceback.print_exc()
    finally:
        if machines:
            machines.close()
        sys.stderr.flush()
        # Threads may be in the middle of a call; nobody waits for its answer.
        os._exit(status)


def serve(authorize: bool, machines: hooks.Machines | None) -> None:
    """Until the end of standard input."""
    moto = server.start()
    permissions = Permissions() if authorize else None
    front = proxy.start(("127.0.0.1", moto.server_port), permissions)
    endpoint = f"http://127.0.0.1:{front.server_port}"
    ready = {
        "endpoint": endpoint,
        "direct": f"http://127.0.0.1:{moto.server_port}",
        "control": f"{endpoint}/lab",
        "access_key": permissions.access_key if permissions else "AKIAPROVISIONLAB0000",
        "secret_key": permissions.secret_key if permissions else "provision-lab",
        "machines": str(machines.folder) if machines else None,
    }
    print(json.dumps(ready), flush=True)
    while sys.stdin.buffer.read(65536):
        pass


if __name__ == "__main__":
    main()
