"""Moto's server with the patches in place, in this process."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

# Read by moto when it is imported.
os.environ.update(
    MOTO_ENABLE_AMI_VALIDATION="1",
    MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION="1",
    MOTO_EC2_LOAD_DEFAULT_AMIS="false",
)

import moto.ec2.models.elastic_ip_addresses
import moto.ec2.models.elastic_network_interfaces
from doubles import addresses
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from . import (
    attributes,
    catalogue,
    dns,
    elastic,
    groups,
    instances,
    launching,
    networks,
    objects,
    prices,
    tags,
    tokens,
    volumes,
)

# They act by being imported.
PATCHES = (catalogue, networks, launching, instances, attributes, volumes, elastic, groups, tags, dns, tokens, objects)


class Application:
    """Moto, and the one service that it has not."""

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("HTTP_X_AMZ_TARGET") != "AWSPriceListService.GetProducts":
            moto: Iterable[bytes] = self._moto(environ, start_response)
            return moto
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        try:
            status, answer = "200 OK", prices.get_products(json.loads(body or b"{}"))
        except (ValueError, KeyError) as error:
            status, answer = "400 Bad Request", {"__type": "InvalidParameterException", "message": str(error)}
        start_response(status, [("Content-Type", "application/x-amz-json-1.1")])
        return [json.dumps(answer).encode()]


def start() -> BaseWSGIServer:
    """The server, serving on a free port of the loopback."""
    # Moto's own would belong to somebody in the world: nothing that a test sends may leave this computer.
    claim = addresses.Addresses().claim
    moto.ec2.models.elastic_ip_addresses.random_ip = claim  # type: ignore[attr-defined]
    moto.ec2.models.elastic_network_interfaces.random_public_ip = claim  # type: ignore[attr-defined]
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, Application(), threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=server.serve_forever, name="moto", daemon=True).start()
    return server
