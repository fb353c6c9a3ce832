"""The metadata service of one instance, as its guest sees it at 169.254.169.254: version 2 with tokens."""

from __future__ import annotations

import base64
import json
import secrets
import time
from typing import Any

from doubles.machines import metadata

VERSIONS = ("2009-04-04", "2016-09-02", "2018-09-24", "2021-03-23", "latest")
TOKEN = "X-aws-ec2-metadata-token"


def tree(instance: Any, mac: str, private_ip: str) -> dict[str, Any]:
    """What the service knows. A folder is a dictionary."""
    interface = {
        "device-number": "0",
        "interface-id": instance.nics[0].id,
        "local-ipv4s": private_ip,
        "mac": mac,
        "owner-id": instance.owner_id,
        "subnet-id": instance.subnet_id or "",
        "vpc-id": instance.vpc_id or "",
    }
    name = f"ip-{private_ip.replace('.', '-')}"
    metadata: dict[str, Any] = {
        "ami-id": instance.image_id,
        "ami-launch-index": str(instance.ami_launch_index),
        "hostname": name,
        "instance-id": instance.id,
        "instance-life-cycle": "spot" if instance.lifecycle == "spot" else "on-demand",
        "instance-type": instance.instance_type,
        "local-hostname": name,
        "local-ipv4": private_ip,
        "mac": mac,
        "network": {"interfaces": {"macs": {mac: interface}}},
        "placement": {"availability-zone": instance.placement.zone, "region": instance.region_name},
        "reservation-id": getattr(instance, "reservation_id", ""),
        "security-groups": "\n".join(group.name for group in instance.security_groups),
    }
    if instance.public_ip:
        metadata["public-ipv4"] = interface["public-ipv4s"] = instance.public_ip
    pair = instance.ec2_backend.key_pairs.get(instance.key_name)
    if pair:
        material = pair.material_public
        metadata["public-keys"] = {"0": {"openssh-key": material if isinstance(material, str) else material.decode()}}
    if instance.metadata_options.instance_metadata_tags == "enabled":
        metadata["tags"] = {"instance": {tag["key"]: tag["value"] for tag in instance.get_tags()}}
    identity = {"instanceId": instance.id, "region": instance.region_name, "accountId": instance.owner_id}
    found: dict[str, Any] = {
        "dynamic": {"instance-identity": {"document": json.dumps(identity)}},
        "meta-data": metadata,
    }
    if instance.user_data:
        found["user-data"] = base64.b64decode(str(instance.user_data))
    return found


class Handler(metadata.Handler):
    """Answers one guest."""

    instance: Any
    mac: str
    private_ip: str
    tokens: dict[str, float]

    def do_PUT(self) -> None:
        options = self.instance.metadata_options
        ttl = self.headers.get(f"{TOKEN}-ttl-seconds", "")
        if options.http_endpoint != "enabled":
            self.reply(403)
        elif self.path != "/latest/api/token":
            self.reply(404)
        elif not ttl.isdigit() or not 1 <= int(ttl) <= 21600:
            self.reply(400)
        else:
            token = secrets.token_urlsafe(32)
            self.tokens[token] = time.monotonic() + int(ttl)
            self.reply(200, token.encode(), X_aws_ec2_metadata_token_ttl_seconds=ttl)

    def do_GET(self) -> None:
        options = self.instance.metadata_options
        token = self.headers.get(TOKEN)
        if options.http_endpoint != "enabled":
            self.reply(403)
        elif (token or options.http_tokens == "required") and self.tokens.get(
            token or "", 0
        ) < time.monotonic():
            self.reply(401)
        else:
            body = self.find()
            self.reply(404 if body is None else 200, body or b"")

    def find(self) -> bytes | None:
        words = [word for word in self.path.split("?")[0].split("/") if word]
        if not words:
            return "\n".join(VERSIONS).encode()
        if words[0] not in VERSIONS:
            return None
        node: Any = tree(self.instance, self.mac, self.private_ip)
        for word in words[1:]:
            if not isinstance(node, dict) or word not in node:
                return None
            node = node[word]
        if words[1:] == ["meta-data", "public-keys"]:
            return f"0={self.instance.key_name}".encode()
        if isinstance(node, dict):
            node = "\n".join(name + "/" * isinstance(value, dict) for name, value in node.items())
        return node if isinstance(node, bytes) else str(node).encode()


def of(instance: Any, mac: str, private_ip: str) -> type[Handler]:
    """The service of one instance."""
    return type("Handler", (Handler,), {"instance": instance, "mac": mac, "private_ip": private_ip, "tokens": {}})
