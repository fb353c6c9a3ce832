"""double: starts everything, says where it is, ends with its standard input."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import sys
import traceback
from types import FrameType

from doubles.addresses import Addresses

from . import front
from .world import World


def end(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def main() -> None:
    parse = argparse.ArgumentParser(prog="double", description=__doc__.partition(": ")[2])
    parse.parse_args()
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at a terminal is for the test, whose end ends us
    status = 1
    try:
        serve()
        status = 0
    except SystemExit:
        status = 0
    except Exception:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        # Threads may be in the middle of a call; nobody waits for its answer.
        os._exit(status)


def serve() -> None:
    """Until the end of standard input."""
    token = f"dop_v1_{secrets.token_hex(32)}"
    server = front.start(World(Addresses().claim), token)
    endpoint = f"http://127.0.0.1:{server.server_port}"
    ready = {"endpoint": endpoint, "control": f"{endpoint}/lab", "token": token, "machines": None}
    print(json.dumps(ready), flush=True)
    while sys.stdin.buffer.read(65536):
        pass


main()
