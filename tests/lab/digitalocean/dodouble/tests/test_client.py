"""The vendor's own client leads a Droplet through its life at the double."""

import json
import subprocess
import time
import unittest
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from azure.core.exceptions import HttpResponseError
from pydo import Client

DOUBLE = Path(__file__).resolve().parents[2] / "double"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILnOAowBd0Ivs6oVs7vZ6W7wbpCnWEW2ipTmXYB6YxMN demo"
# It would not send a token without TLS.
PLAIN = {"enforce_https": False}


class Life(unittest.TestCase):
    def setUp(self) -> None:
        self.double = subprocess.Popen([DOUBLE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.double.stdout and self.double.stdin
        self.ready = json.loads(self.double.stdout.readline())
        self.client = Client(token=self.ready["token"], endpoint=self.ready["endpoint"], retry_total=0)

    def tearDown(self) -> None:
        violations = self.lab("violations")
        assert self.double.stdin and self.double.stdout
        self.double.stdin.close()
        self.double.wait()
        self.double.stdout.close()
        self.assertEqual(violations, [])

    def lab(self, route: str, body: Any = None) -> Any:
        text = json.dumps(body).encode() if body is not None else None
        with urllib.request.urlopen(f"{self.ready['control']}/{route}", text) as answer:
            return json.load(answer)

    def until(self, look: Callable[[], bool]) -> None:
        end = time.monotonic() + 10
        while not look():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def droplet(self, number: int) -> Any:
        return self.client.droplets.get(number, **PLAIN)["droplet"]

    def test_a_droplet_and_what_belongs_to_it(self) -> None:
        client = self.client
        self.assertEqual(client.account.get(**PLAIN)["account"]["status"], "active")
        key = client.ssh_keys.create({"name": "demo", "public_key": KEY}, **PLAIN)["ssh_key"]
        client.tags.create({"name": "shop"}, **PLAIN)
        ssh = {"protocol": "tcp", "ports": "22", "sources": {"addresses": ["0.0.0.0/0"]}}
        out = {"protocol": "tcp", "ports": "0", "destinations": {"addresses": ["0.0.0.0/0"]}}
        wall = {"name": "shop", "tags": ["shop"], "inbound_rules": [ssh], "outbound_rules": [out]}
        wall = client.firewalls.create(wall, **PLAIN)["firewall"]
        wanted = {
            "name": "shop", "region": "fra1", "size": "s-1vcpu-2gb", "image": "debian-13-x64",
            "ssh_keys": [key["id"]], "tags": ["shop"], "user_data": "#cloud-config\n",
        }  # fmt: skip
        number = client.droplets.create(wanted, **PLAIN)["droplet"]["id"]
        self.assertEqual(self.droplet(number)["status"], "new")
        self.assertEqual(self.droplet(number)["networks"]["v4"], [])
        self.until(lambda: self.droplet(number)["status"] == "active")
        listed = client.droplets.list(tag_name="shop", **PLAIN)["droplets"]
        self.assertEqual([one["id"] for one in listed], [number])
        walls = client.droplets.list_firewalls(number, **PLAIN)["firewalls"]
        self.assertEqual([one["id"] for one in walls], [wall["id"]])

        volume = {"name": "data", "region": "fra1", "size_gigabytes": 5}
        volume = client.volumes.create(volume, **PLAIN)["volume"]
        attach = {"type": "attach", "droplet_id": number, "region": "fra1"}
        self.lab("account", {"action_seconds": 2})
        action = client.volume_actions.post_by_id(volume["id"], attach, **PLAIN)["action"]
        with self.assertRaisesRegex(HttpResponseError, "pending event"):
            client.droplet_actions.post(number, {"type": "shutdown"}, **PLAIN)
        self.lab("account", {"action_seconds": 0.1})
        self.until(lambda: client.actions.get(action["id"], **PLAIN)["action"]["status"] == "completed")
        self.assertEqual(self.droplet(number)["volume_ids"], [volume["id"]])

        ip = client.reserved_ips.create({"droplet_id": number}, **PLAIN)["reserved_ip"]["ip"]
        self.until(lambda: client.reserved_ips.get(ip, **PLAIN)["reserved_ip"]["droplet"] is not None)
        client.domains.create({"name": "example.com"}, **PLAIN)
        record = {"type": "A", "name": "shop", "data": ip, "ttl": 60}
        client.domains.create_record("example.com", record, **PLAIN)
        found = client.domains.list_records("example.com", name="shop.example.com", **PLAIN)["domain_records"]
        self.assertEqual([one["data"] for one in found], [ip])

        project = next(one for one in client.projects.list(**PLAIN)["projects"] if one["name"] == "shop")
        urns = [f"do:droplet:{number}", f"do:floatingip:{ip}"]
        given = client.projects.assign_resources(project["id"], {"resources": urns}, **PLAIN)["resources"]
        self.assertEqual([one["status"] for one in given], ["assigned", "assigned"])
        held = client.projects.list_resources(project["id"], **PLAIN)["resources"]
        self.assertEqual([one["urn"] for one in held], urns)
        self.assertEqual(client.reserved_ips.get(ip, **PLAIN)["reserved_ip"]["project_id"], project["id"])

        client.droplets.destroy(number, **PLAIN)
        self.until(lambda: not client.droplets.list(**PLAIN)["droplets"])
        self.assertEqual(client.volumes.get(volume["id"], **PLAIN)["volume"]["droplet_ids"], [])
        self.assertIsNone(client.reserved_ips.get(ip, **PLAIN)["reserved_ip"]["droplet"])

    def test_what_the_api_refuses(self) -> None:
        client = self.client
        wanted = {"name": "shop", "region": "fra1", "size": "s-1vcpu-2gb", "image": "debian-13-x64"}
        for change, words in (
            ({"size": "s-1vcpu-3gb"}, "invalid size"),
            ({"size": "s-1vcpu-512mb-10gb"}, "not available in this region"),
            ({"region": "fra9"}, "invalid region"),
            ({"image": "debian-14-x64"}, "invalid image"),
            ({"user_data": "x" * (64 * 1024 + 1)}, "64KiB"),
            ({"ssh_keys": [7]}, "invalid key identifiers"),
        ):
            with self.assertRaisesRegex(HttpResponseError, words):
                client.droplets.create({**wanted, **change}, **PLAIN)
        self.lab("account", {"droplet_limit": 0})
        with self.assertRaisesRegex(HttpResponseError, "droplet limit"):
            client.droplets.create(wanted, **PLAIN)
        client.ssh_keys.create({"name": "one", "public_key": KEY}, **PLAIN)
        with self.assertRaisesRegex(HttpResponseError, "already in use"):
            client.ssh_keys.create({"name": "two", "public_key": KEY}, **PLAIN)

    def test_faults(self) -> None:
        client = self.client
        for fault, words in (("refuse:unprocessable_entity:not now", "not now"), ("refuse:conflict:taken", "taken")):
            self.lab("faults", [{"action": "droplets_list", "do": fault}])
            with self.assertRaisesRegex(HttpResponseError, words):
                client.droplets.list(**PLAIN)
        self.lab("faults", [{"action": "sshKeys_create", "do": "hide:3"}])
        key = client.ssh_keys.create({"name": "demo", "public_key": KEY}, **PLAIN)["ssh_key"]
        self.assertEqual(client.ssh_keys.list(**PLAIN)["ssh_keys"], [])
        # What the document knows as an answer is none of the client's exceptions.
        self.assertEqual(client.ssh_keys.get(key["id"], **PLAIN)["id"], "not_found")
        self.until(lambda: len(client.ssh_keys.list(**PLAIN)["ssh_keys"]) == 1)
        log = self.lab("log")
        self.assertEqual(log[0]["fault"], "refuse:unprocessable_entity:not now")
        self.assertEqual([entry["changes"] for entry in log[:3]], [False, False, True])

    def test_pages(self) -> None:
        client = self.client
        for name in ("a", "b", "c"):
            client.tags.create({"name": name}, **PLAIN)
        first = client.tags.list(per_page=2, **PLAIN)
        self.assertEqual((len(first["tags"]), first["meta"]["total"]), (2, 3))
        self.assertIn("page=2", first["links"]["pages"]["next"])
        self.assertEqual(len(client.tags.list(per_page=2, page=2, **PLAIN)["tags"]), 1)
