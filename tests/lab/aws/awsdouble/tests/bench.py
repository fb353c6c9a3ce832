"""A double for a test, and clients for it."""

from __future__ import annotations

import json
import pathlib
import subprocess
import unittest
import urllib.error
import urllib.request
from typing import Any

import boto3
import botocore.exceptions
from botocore.config import Config

DOUBLE = pathlib.Path(__file__).parents[2] / "double"
REGION = "eu-central-1"
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPnlcdxQ4cnXmzkWPUzIJfM0mvnHmVN6JwZQB6kgCJcp test"


class Double:
    """One running double."""

    def __init__(self, *flags: str) -> None:
        self.process = subprocess.Popen([DOUBLE, *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout
        self.ready: dict[str, str] = json.loads(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()

    def client(self, service: str, where: str = "endpoint", region: str = REGION, **config: Any) -> Any:
        config.setdefault("retries", {"total_max_attempts": 1})
        return boto3.client(
            service,
            endpoint_url=self.ready[where],
            region_name=region,
            aws_access_key_id=self.ready["access_key"],
            aws_secret_access_key=self.ready["secret_key"],
            config=Config(**config),
        )

    def lab(self, path: str, document: Any = None) -> Any:
        """A call of the control API; POST when there is a document."""
        data = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"{self.ready['control']}/{path}", data)
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise ValueError(json.load(error)["error"]) from None

    def faults(self, *rules: dict[str, Any]) -> None:
        self.lab("faults", list(rules))


class DoubleCase(unittest.TestCase):
    """Tests that share one double; each begins without faults and with a default account."""

    flags: tuple[str, ...] = ()
    double: Double
    ec2: Any

    @classmethod
    def setUpClass(cls) -> None:
        cls.double = Double(*cls.flags)
        cls.addClassCleanup(cls.double.close)
        cls.ec2 = cls.double.client("ec2")

    def setUp(self) -> None:
        self.double.lab("reset", {})

    def refused(self, code: str, call: Any, *args: Any, **kwargs: Any) -> str:
        """Insists that the call is refused with this code; the message."""
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            call(*args, **kwargs)
        error = caught.exception.response["Error"]
        self.assertEqual(error["Code"], code, error["Message"])
        return str(error["Message"])

    def image(self, name: str = "debian-13-amd64-*", owner: str = "136693071363") -> str:
        found = self.ec2.describe_images(Owners=[owner], Filters=[{"Name": "name", "Values": [name]}])["Images"]
        return str(max(found, key=lambda image: image["CreationDate"])["ImageId"])

    def run_one(self, **more: Any) -> dict[str, Any]:
        given = {"ImageId": self.image(), "InstanceType": "t3.small", "MinCount": 1, "MaxCount": 1, **more}
        return dict(self.ec2.run_instances(**given)["Instances"][0])

    def instance(self, identity: str) -> dict[str, Any]:
        return dict(self.ec2.describe_instances(InstanceIds=[identity])["Reservations"][0]["Instances"][0])


def tagged(kind: str, **tags: str) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}]
