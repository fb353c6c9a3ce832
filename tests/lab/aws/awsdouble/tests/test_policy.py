"""Permissions, with and without conditions."""

import unittest
from typing import Any

from awsdouble.tests.bench import DoubleCase, tagged


def statement(*actions: str, resource: Any = "*", effect: str = "Allow", **condition: Any) -> dict[str, Any]:
    when = {"Condition": condition} if condition else {}
    return {"Effect": effect, "Action": list(actions), "Resource": resource, **when}


class Policy(DoubleCase):
    flags = ("--authorize",)

    def allow(self, *statements: dict[str, Any]) -> None:
        self.double.lab("policy", {"Version": "2012-10-17", "Statement": list(statements)})

    def setUp(self) -> None:
        super().setUp()
        self.allow(statement("*"))

    def test_what_is_not_allowed_is_named(self) -> None:
        self.allow(statement("ec2:Describe*"))
        self.ec2.describe_instances()
        message = self.refused("UnauthorizedOperation", self.ec2.create_security_group, GroupName="a", Description="a")
        self.assertIn(
            "not authorized to perform: ec2:CreateSecurityGroup on resource: arn:aws:ec2:eu-central-1:", message
        )
        self.refused("AccessDeniedException", self.double.client("ssm").get_parameter, Name="x")
        self.refused("AccessDeniedException", self.double.client("secretsmanager").get_secret_value, SecretId="x")
        self.refused("AccessDeniedException", self.double.client("pricing").get_products, ServiceCode="AmazonEC2")
        self.refused("AccessDenied", self.double.client("route53").list_hosted_zones)
        found = self.double.client("sts").get_caller_identity()
        self.assertTrue(found["Arn"].endswith("user/provision-test"), found["Arn"])
        self.double.client("ec2", "direct").create_security_group(GroupName="direct", Description="direct")

    def test_tags_at_creation_need_their_own_permission(self) -> None:
        self.allow(statement("ec2:CreateVolume"))
        wanted = {"AvailabilityZone": "eu-central-1a", "Size": 1, "TagSpecifications": tagged("volume", owner="us")}
        self.assertIn("ec2:CreateTags", self.refused("UnauthorizedOperation", self.ec2.create_volume, **wanted))
        own: dict[str, Any] = {"StringEquals": {"ec2:CreateAction": "CreateVolume"}}
        self.allow(statement("ec2:CreateVolume"), statement("ec2:CreateTags", **own))
        volume = self.ec2.create_volume(**wanted)["VolumeId"]
        tag = {"Resources": [volume], "Tags": [{"Key": "a", "Value": "b"}]}
        self.refused("UnauthorizedOperation", self.ec2.create_tags, **tag)

    def test_conditions_on_tags(self) -> None:
        made = {
            kind: self.ec2.create_security_group(
                GroupName=kind, Description=kind, TagSpecifications=tagged("security-group", owner=kind)
            )["GroupId"]
            for kind in ("us", "them")
        }
        ours: dict[str, Any] = {"StringEquals": {"aws:ResourceTag/owner": "us"}}
        self.allow(
            statement("ec2:DeleteSecurityGroup", **ours),
            statement("ec2:CreateVolume", "ec2:CreateTags", StringEquals={"aws:RequestTag/owner": "us"}),
        )
        self.refused("UnauthorizedOperation", self.ec2.delete_security_group, GroupId=made["them"])
        self.ec2.delete_security_group(GroupId=made["us"])
        volume = {"AvailabilityZone": "eu-central-1a", "Size": 1}
        self.refused("UnauthorizedOperation", self.ec2.create_volume, **volume)
        self.refused(
            "UnauthorizedOperation", self.ec2.create_volume, TagSpecifications=tagged("volume", owner="them"), **volume
        )
        self.ec2.create_volume(TagSpecifications=tagged("volume", owner="us"), **volume)

    def test_a_run_needs_every_resource(self) -> None:
        run = "arn:aws:ec2:*:*:"
        parts = [
            run + part for part in ("instance/*", "volume/*", "network-interface/*", "security-group/*", "subnet/*")
        ]
        self.allow(statement("ec2:Describe*"), statement("ec2:RunInstances", resource=parts))
        message = self.refused("UnauthorizedOperation", self.run_one)
        self.assertIn("eu-central-1::image/ami-", message)
        image = "arn:aws:ec2:*::image/*"
        self.allow(statement("ec2:Describe*"), statement("ec2:RunInstances", resource=[*parts, image]))
        self.run_one()
        self.allow(statement("*"), statement("ec2:RunInstances", resource=image, effect="Deny"))
        self.assertIn(
            "explicit deny", self.refused("UnauthorizedOperation", self.run_one, ImageId="ami-0123456789abcdef0")
        )

    def test_a_foreign_key(self) -> None:
        self.double.ready = {**self.double.ready, "access_key": "AKIAFOREIGN"}
        self.refused("AuthFailure", self.double.client("ec2").describe_vpcs)
        self.refused("InvalidClientTokenId", self.double.client("sts").get_caller_identity)
        self.double.ready["access_key"] = self.ec2._request_signer._credentials.access_key

    def test_an_assumed_role(self) -> None:
        sts = self.double.client("sts")
        role = "arn:aws:iam::123456789012:role/provision"
        given = sts.assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
        self.double.ready = {
            **self.double.ready,
            "access_key": given["AccessKeyId"],
            "secret_key": given["SecretAccessKey"],
        }
        self.double.client("ec2").describe_vpcs()
        self.double.ready["access_key"] = self.ec2._request_signer._credentials.access_key

    def test_what_cannot_be_evaluated_is_refused(self) -> None:
        self.assertRaises(ValueError, self.allow, statement("*", DateLessThan={"aws:CurrentTime": "x"}))
        self.assertRaises(ValueError, self.double.lab, "policy", {"Statement": []})


if __name__ == "__main__":
    unittest.main()
