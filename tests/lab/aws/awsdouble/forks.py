"""forks NAME: doubles for one test program, each a fork of this process: to import moto takes seconds, to fork no time.

Listens at the abstract Unix socket NAME, and says so with a line. A connection's first line is the arguments of a `double`, as a JSON
list; from then on the connection is its standard input and output. Ends with its standard input, the doubles with their connections.
"""

from __future__ import annotations

import json
import os
import random
import selectors
import signal
import socket
import sys

from . import __main__ as double


def become(connection: socket.socket) -> None:
    """The child: a double that talks over this connection."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(connection.fileno(), 0)
    os.dup2(connection.fileno(), 1)
    connection.close()
    random.seed()
    arguments: list[str] = json.loads(sys.stdin.buffer.readline())
    double.main(arguments)


def main() -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("\0" + sys.argv[1])
    listener.listen()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a double ended
    print("ready", flush=True)
    waiting = selectors.DefaultSelector()
    waiting.register(listener, selectors.EVENT_READ)
    waiting.register(0, selectors.EVENT_READ)
    while True:
        for key, _ in waiting.select():
            if key.fileobj is not listener:
                return
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                waiting.close()
                become(connection)
            connection.close()


if __name__ == "__main__":
    main()
