"""The proxy: every fault does what it says, and the log tells of it."""

import subprocess
import sys
import threading
import time
import unittest
from typing import Any

import botocore.exceptions

from awsdouble.tests.bench import PUBLIC_KEY, DoubleCase

LOST = (botocore.exceptions.ConnectionClosedError, botocore.exceptions.HTTPClientError)


class Faults(DoubleCase):
    def setUp(self) -> None:
        super().setUp()
        self.direct = self.double.client("ec2", "direct")

    def groups(self) -> set[str]:
        found = self.direct.describe_security_groups()["SecurityGroups"]
        return {group["GroupName"] for group in found} - {"default"}

    def make(self, name: str) -> Any:
        return self.ec2.create_security_group(GroupName=name, Description=name)

    def test_refusals(self) -> None:
        rule = {"service": "ec2", "action": "DescribeVpcs"}
        for fault, code, status in (
            ("throttle", "RequestLimitExceeded", 503),
            ("error-500", "InternalError", 500),
            ("refuse:InsufficientInstanceCapacity:none", "InsufficientInstanceCapacity", 500),
            ("refuse:UnauthorizedOperation:no", "UnauthorizedOperation", 403),
        ):
            self.double.faults({**rule, "do": fault})
            self.refused(code, self.ec2.describe_vpcs)
            self.ec2.describe_vpcs()
            entry = self.double.lab("log")[-2]
            self.assertEqual(
                (entry["action"], entry["status"], entry["error"], entry["fault"]),
                ("DescribeVpcs", status, code, fault),
            )
        for service, call, code in (
            ("ssm", lambda client: client.get_parameter(Name="x"), "ThrottlingException"),
            ("pricing", lambda client: client.get_products(ServiceCode="AmazonEC2"), "ThrottlingException"),
            ("route53", lambda client: client.list_hosted_zones(), "Throttling"),
            ("sts", lambda client: client.get_caller_identity(), "Throttling"),
        ):
            self.double.faults({"service": service, "do": "throttle"})
            self.refused(code, call, self.double.client(service))

    def test_which_call(self) -> None:
        self.double.faults({"action": "changes", "nth": 2, "times": 2, "do": "throttle"})
        self.make("first")
        self.ec2.describe_vpcs()
        self.refused("RequestLimitExceeded", self.make, "second")
        self.refused("RequestLimitExceeded", self.make, "third")
        self.make("fourth")
        self.double.faults({"service": "ec2", "nth": "every", "do": "throttle"})
        for _ in range(3):
            self.refused("RequestLimitExceeded", self.ec2.describe_vpcs)
        self.double.client("sts").get_caller_identity()
        log = self.double.lab("log")
        self.assertEqual([entry["number"] for entry in log], list(range(1, len(log) + 1)))
        self.assertEqual([entry["changes"] for entry in log[:2]], [True, False])
        self.double.lab("reset", {})
        self.ec2.describe_vpcs()
        self.assertEqual(len(self.double.lab("log")), 1)

    def test_lost_before_and_after(self) -> None:
        self.double.faults({"action": "CreateSecurityGroup", "do": "reset"})
        with self.assertRaises(LOST):
            self.make("before")
        self.assertNotIn("before", self.groups())
        self.double.faults({"action": "CreateSecurityGroup", "do": "lose"})
        with self.assertRaises(LOST):
            self.make("after")
        self.assertIn("after", self.groups())
        self.assertEqual([entry["status"] for entry in self.double.lab("log")], [None, 200])
        self.refused("InvalidGroup.Duplicate", self.make, "after")

    def test_held_until_the_client_is_killed(self) -> None:
        script = (
            "import boto3, sys; boto3.client('ec2', endpoint_url=sys.argv[1], region_name='eu-central-1',"
            " aws_access_key_id='a', aws_secret_access_key='b').create_security_group(GroupName=sys.argv[2], Description='d')"
        )
        for fault, there in (("hold-before", False), ("hold-after", True)):
            self.double.faults({"action": "changes", "do": fault})
            client = subprocess.Popen(
                [sys.executable, "-c", script, self.double.ready["endpoint"], fault], stderr=subprocess.DEVNULL
            )
            held = self.double.lab("held?timeout=30")
            self.assertEqual((held["action"], held["fault"]), ("CreateSecurityGroup", fault))
            self.assertEqual(fault in self.groups(), there)
            client.kill()
            client.wait()
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                try:
                    self.double.lab("held?timeout=0")
                except ValueError:
                    break
            self.assertRaises(ValueError, self.double.lab, "held?timeout=0")
            self.assertEqual(fault in self.groups(), there)

    def test_waiting_for_a_held_call(self) -> None:
        self.double.faults({"action": "CreateSecurityGroup", "do": "hold-before"})
        client = self.double.client("ec2", read_timeout=3)
        waiting = threading.Timer(
            0.3,
            lambda: self.assertRaises(
                botocore.exceptions.ReadTimeoutError, client.create_security_group, GroupName="w", Description="w"
            ),
        )
        waiting.start()
        self.assertEqual(self.double.lab("held?timeout=20")["action"], "CreateSecurityGroup")
        waiting.join()

    def test_what_was_made_is_hidden_at_first(self) -> None:
        self.double.faults(
            {"action": "RunInstances", "do": "hide:1"},
            {"action": "ImportKeyPair", "do": "hide:1"},
            {"action": "CreateSecurityGroup", "do": "hide:1"},
        )
        made = self.run_one(ClientToken="hidden")
        identity = made["InstanceId"]
        self.refused("InvalidInstanceID.NotFound", self.ec2.describe_instances, InstanceIds=[identity])
        by_token = {"Filters": [{"Name": "client-token", "Values": ["hidden"]}]}
        self.assertEqual(self.ec2.describe_instances(**by_token)["Reservations"], [])
        self.assertEqual(len(self.direct.describe_instances(**by_token)["Reservations"]), 1)
        self.ec2.import_key_pair(KeyName="hidden", PublicKeyMaterial=PUBLIC_KEY)
        self.refused("InvalidKeyPair.NotFound", self.ec2.describe_key_pairs, KeyNames=["hidden"])
        self.assertEqual(self.ec2.describe_key_pairs()["KeyPairs"], [])
        group = self.make("hidden")["GroupId"]
        self.refused("InvalidGroup.NotFound", self.ec2.describe_security_groups, GroupIds=[group])
        time.sleep(1.1)
        self.assertEqual(self.instance(identity)["InstanceId"], identity)
        self.ec2.describe_key_pairs(KeyNames=["hidden"])
        self.ec2.describe_security_groups(GroupIds=[group])

    def test_an_expired_session(self) -> None:
        self.double.lab("account", {"expired": True})
        self.refused("RequestExpired", self.ec2.describe_vpcs)
        self.refused("ExpiredToken", self.double.client("sts").get_caller_identity)
        self.refused("ExpiredTokenException", self.double.client("ssm").get_parameter, Name="x")
        self.double.lab("account", {"expired": False})
        self.double.client("sts").get_caller_identity()

    def test_mistakes_are_told(self) -> None:
        for rule in (
            {"do": "explode"},
            {"do": "throttle", "action?": "x"},
            {"do": "refuse"},
            {"do": "throttle", "nth": 0},
        ):
            self.assertRaises(ValueError, self.double.faults, rule)
        self.assertRaises(ValueError, self.double.lab, "account", {"zones": []})
        self.assertRaises(ValueError, self.double.lab, "account", {"default_vpc": "no"})
        self.assertRaises(ValueError, self.double.lab, "nothing")
        self.assertRaises(ValueError, self.double.lab, "policy", {})

    def test_the_log_names_targets(self) -> None:
        group = self.make("target")["GroupId"]
        self.ec2.create_tags(Resources=[group], Tags=[{"Key": "a", "Value": "i-0123456789abcdef0"}])
        self.assertEqual(self.double.lab("log")[-1]["targets"], [group])


if __name__ == "__main__":
    unittest.main()
