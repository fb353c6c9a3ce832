"""Everything beside the API, by its argument. Put your own in its place.

    worker.py migrate           brings the tables to this version; before every deploy
    worker.py seed              the first products; once in the life of an environment
    worker.py encrypt-anew      brings everything that is encrypted under the present master key
    worker.py temporal          works for Temporal; here it only keeps a connection to it
    worker.py events            consumes events, in their order; here it only keeps a connection to the first broker
    worker.py health            whether the worker in this container had its connection a moment ago
"""

import os
import pathlib
import signal
import socket
import sys
import threading
import time
from contextlib import closing

import store

PULSE = pathlib.Path("/tmp/pulse")
ended = threading.Event()


def work(address):
    """Until it is told to end."""
    host, _, port = address.split(",")[0].rpartition(":")
    store.log("working", at=address)
    while not ended.is_set():
        try:
            with socket.create_connection((host, int(port)), timeout=10):
                PULSE.touch()
        except OSError as error:
            store.log("no connection", error=str(error))
        ended.wait(10)
    store.log("ended")


def main(command):
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    if command in ("temporal", "events"):
        work(os.environ["TEMPORAL_ADDRESS" if command == "temporal" else "KAFKA_BROKERS"])
    elif command == "health":
        sys.exit(not PULSE.exists() or time.time() - PULSE.stat().st_mtime > 60)
    else:
        tasks = {"migrate": store.migrate, "seed": store.seed, "encrypt-anew": store.encrypt_anew}
        with closing(store.connect()) as db:
            store.log(command, rows=tasks[command](db))


main(sys.argv[1])
