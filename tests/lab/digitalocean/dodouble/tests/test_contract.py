"""The judge itself: what the vendor's document says is found wrong, and what it leaves open too."""

import json
import unittest
from typing import Any

from dodouble import catalogue
from dodouble.contract import Contract

CONTRACT = Contract()
BEARER = {"authorization": "Bearer x", "content-type": "application/json"}
DROPLET = {"name": "shop", "region": "fra1", "size": "s-1vcpu-2gb", "image": 195_000_001}


class Requests(unittest.TestCase):
    def wrong(self, method: str, target: str, body: Any = None, headers: dict[str, str] = BEARER) -> list[str]:
        operation = CONTRACT.operation(method, f"/v2/{target}")
        assert operation is not None
        pairs = dict(pair.split("=") for pair in target.partition("?")[2].split("&") if pair)
        text = b"" if body is None else json.dumps(body).encode()
        return CONTRACT.request(operation, pairs, headers, text)

    def test_what_is_right_passes(self) -> None:
        for method, target, body in (
            ("GET", "droplets?tag_name=a&per_page=200&page=2", None),
            ("GET", "account/keys/512189", None),
            ("POST", "droplets", {**DROPLET, "ssh_keys": [1], "tags": ["a:b"], "user_data": "x"}),
            ("POST", "reserved_ips", {"droplet_id": 1}),
            ("POST", "reserved_ips/1.2.3.4/actions", {"type": "assign", "droplet_id": 1}),
            ("DELETE", "tags/a:b/resources", {"resources": [{"resource_id": "1", "resource_type": "droplet"}]}),
        ):
            self.assertEqual(self.wrong(method, target, body), [], target)

    def test_what_the_document_says(self) -> None:
        for method, target, body, words in (
            ("POST", "droplets", {"name": "shop"}, "not valid under any"),
            ("POST", "droplets", {**DROPLET, "name": "my shop"}, "not valid under any"),
            ("POST", "droplets", {**DROPLET, "ipv6": "yes"}, "not valid under any"),
            ("GET", "droplets?per_page=500", None, "200"),
            ("GET", "droplets?order=name", None, "order is not known"),
            ("POST", "tags", {"name": "a b"}, "does not match"),
            ("POST", "firewalls", {"name": "wall"}, "not valid under any"),
            ("POST", "account/keys", {"name": "key"}, "public_key"),
        ):
            self.assertIn(words, " ".join(self.wrong(method, target, body)), target)

    def test_what_it_leaves_open(self) -> None:
        rule = {"protocol": "tcp", "ports": "22", "sources": {"adresses": ["0.0.0.0/0"]}}
        for method, target, body, words in (
            ("POST", "droplets", {**DROPLET, "userdata": "x"}, "nobody knows the key userdata"),
            ("POST", "firewalls", {"name": "wall", "inbound_rules": [rule]}, "inbound_rules.sources.adresses"),
            ("POST", "droplets", None, "needs a body"),
            ("POST", "reserved_ips/1.2.3.4/actions", {"type": "assign"}, "droplet_id"),
            ("POST", "droplets/1/actions", {"type": "resize"}, "size"),
        ):
            self.assertIn(words, " ".join(self.wrong(method, target, body)), target)
        self.assertIn("no bearer token", " ".join(self.wrong("GET", "droplets", None, {})))

    def test_operations_are_found_by_their_paths(self) -> None:
        for method, target, name in (
            ("GET", "account/keys/1", "sshKeys_get"),
            ("GET", "domains/example.com/records?page=2", "domains_list_records"),
            ("POST", "volumes/actions", "volumeActions_post"),
            ("GET", "projects/default", "projects_get_default"),
        ):
            operation = CONTRACT.operation(method, f"/v2/{target}")
            self.assertEqual(operation.name if operation else None, name)
        self.assertIsNone(CONTRACT.operation("GET", "/v2/floating_ips"))


class Answers(unittest.TestCase):
    def wrong(self, target: str, status: int, document: Any, kind: str = "application/json") -> str:
        operation = CONTRACT.operation("GET", f"/v2/{target}")
        assert operation is not None
        return " ".join(CONTRACT.response(operation, status, {"Content-Type": kind}, json.dumps(document).encode()))

    def test_what_is_no_answer_of_the_api(self) -> None:
        sizes = {"sizes": [catalogue.size("c-2")], "links": {}, "meta": {"total": 1}}
        self.assertEqual(self.wrong("sizes", 200, sizes), "")
        self.assertIn("'meta' is a required", self.wrong("sizes", 200, {"sizes": []}))
        broken = {**sizes, "sizes": [{**catalogue.size("c-2"), "memory": "much"}]}
        self.assertIn("not of type 'integer'", self.wrong("sizes", 200, broken))
        self.assertIn("never answers with 201", self.wrong("sizes", 201, sizes))
        self.assertIn("not application/json", self.wrong("sizes", 200, sizes, "text/html"))
        self.assertIn("'message' is a required", self.wrong("sizes", 500, {"id": "server_error"}))
        # 422 is documented nowhere and falls under the default.
        self.assertEqual(self.wrong("sizes", 422, {"id": "unprocessable_entity", "message": "no"}), "")
