"""Calls and filters that the provider uses and nothing else here does."""

import json
import unittest
from typing import Any

from awsdouble.tests.bench import PUBLIC_KEY, DoubleCase, tagged


def by(**filters: Any) -> list[dict[str, Any]]:
    return [{"Name": name.replace("__", ":").replace("_", "-"), "Values": [value]} for name, value in filters.items()]


class Calls(DoubleCase):
    def test_key_pairs_by_id(self) -> None:
        made = self.ec2.import_key_pair(
            KeyName="one", PublicKeyMaterial=PUBLIC_KEY, TagSpecifications=tagged("key-pair", a="b")
        )
        self.ec2.import_key_pair(KeyName="two", PublicKeyMaterial=PUBLIC_KEY)
        identity = made["KeyPairId"]
        self.assertEqual(made["Tags"], [{"Key": "a", "Value": "b"}])
        for wanted in (
            {"KeyPairIds": [identity]},
            {"Filters": by(key_pair_id=identity)},
            {"Filters": by(tag__a="b")},
            {"Filters": by(key_name="one")},
        ):
            found = self.ec2.describe_key_pairs(IncludePublicKey=True, **wanted)["KeyPairs"]
            self.assertEqual([pair["KeyName"] for pair in found], ["one"], wanted)
            self.assertIn(PUBLIC_KEY.split()[1], found[0]["PublicKey"])
        self.assertNotIn("PublicKey", self.ec2.describe_key_pairs()["KeyPairs"][0])
        self.refused("InvalidKeyPair.Duplicate", self.ec2.import_key_pair, KeyName="one", PublicKeyMaterial=PUBLIC_KEY)
        self.ec2.delete_key_pair(KeyPairId=identity)
        self.refused("InvalidKeyPair.NotFound", self.ec2.describe_key_pairs, KeyPairIds=[identity])
        self.refused("InvalidKeyPair.NotFound", self.ec2.delete_key_pair, KeyPairId=identity)
        self.assertEqual([pair["KeyName"] for pair in self.ec2.describe_key_pairs()["KeyPairs"]], ["two"])

    def test_tags_go_with_what_has_them(self) -> None:
        mark = {"TagSpecifications": tagged("volume", mark="here")}
        volume = self.ec2.create_volume(AvailabilityZone="eu-central-1a", Size=1, **mark)["VolumeId"]
        other = self.ec2.create_volume(
            AvailabilityZone="eu-central-1a", Size=1, TagSpecifications=tagged("volume", mark="there")
        )["VolumeId"]
        for filters in (by(key="mark", value="here"), by(tag__mark="here")):
            found = self.ec2.describe_tags(Filters=filters)["Tags"]
            self.assertEqual([(tag["ResourceId"], tag["ResourceType"]) for tag in found], [(volume, "volume")])
        self.ec2.delete_volume(VolumeId=volume)
        found = self.ec2.describe_tags(Filters=by(key="mark"))["Tags"]
        self.assertEqual([tag["ResourceId"] for tag in found], [other])
        self.ec2.delete_tags(Resources=[other], Tags=[{"Key": "mark", "Value": "elsewhere"}])
        self.ec2.create_tags(Resources=[other], Tags=[{"Key": "mark", "Value": "changed"}])
        self.assertEqual(
            self.ec2.describe_volumes(VolumeIds=[other])["Volumes"][0]["Tags"], [{"Key": "mark", "Value": "changed"}]
        )

    def test_filters(self) -> None:
        group = self.ec2.create_security_group(
            GroupName="f", Description="f", TagSpecifications=tagged("security-group", f="g")
        )["GroupId"]
        made = self.run_one(SecurityGroupIds=[group], TagSpecifications=tagged("instance", f="i"))
        identity, subnet, vpc = made["InstanceId"], made["SubnetId"], made["VpcId"]
        address = self.ec2.allocate_address(Domain="vpc", TagSpecifications=tagged("elastic-ip", f="e"))["AllocationId"]
        self.ec2.associate_address(AllocationId=address, InstanceId=identity)
        image = {"name": "debian-13-amd64-*", "architecture": "x86_64", "root_device_type": "ebs", "state": "available"}
        for call, key, filters in (
            ("instances", "Reservations", by(instance_id=identity)),
            ("instances", "Reservations", by(tag_key="f")),
            ("instances", "Reservations", by(tag__f="i", instance_state_name="running")),
            ("instances", "Reservations", by(subnet_id=subnet, vpc_id=vpc)),
            ("addresses", "Addresses", by(instance_id=identity)),
            ("addresses", "Addresses", by(tag__f="e")),
            ("addresses", "Addresses", by(allocation_id=address)),
            ("security_groups", "SecurityGroups", by(group_name="f", vpc_id=vpc)),
            ("security_groups", "SecurityGroups", by(group_id=group)),
            ("security_groups", "SecurityGroups", by(tag__f="g")),
            ("security_groups", "SecurityGroups", by(tag_key="f")),
            ("volumes", "Volumes", by(attachment__instance_id=identity) and by(status="in-use")),
            ("subnets", "Subnets", by(default_for_az="true", availability_zone="eu-central-1a")),
            ("subnets", "Subnets", by(subnet_id=subnet, map_public_ip_on_launch="true")),
            ("vpcs", "Vpcs", by(is_default="true")),
            ("images", "Images", by(**image)),
        ):
            found = getattr(self.ec2, f"describe_{call}")(Filters=filters)[key]
            self.assertEqual(len(found), 2 if call == "images" else 1, (call, filters))
        for call, key in (("key_pairs", "KeyPairs"), ("snapshots", "Snapshots")):
            self.assertEqual(getattr(self.ec2, f"describe_{call}")(Filters=by(tag_key="f"))[key], [])
        interface = made["NetworkInterfaces"][0]["NetworkInterfaceId"]
        self.ec2.terminate_instances(InstanceIds=[identity])
        self.refused(
            "InvalidNetworkInterfaceID.NotFound", self.ec2.describe_network_interfaces, NetworkInterfaceIds=[interface]
        )

    def test_profiles(self) -> None:
        iam = self.double.client("iam", region="us-east-1")
        policy = {"Version": "2012-10-17", "Statement": []}
        for name in ("one", "two"):
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(policy))
            iam.create_instance_profile(InstanceProfileName=name)
            iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
        identity = self.run_one(IamInstanceProfile={"Name": "one"})["InstanceId"]
        found = self.ec2.describe_iam_instance_profile_associations(Filters=by(instance_id=identity))[
            "IamInstanceProfileAssociations"
        ]
        self.assertTrue(found[0]["IamInstanceProfile"]["Arn"].endswith("instance-profile/one"))
        self.ec2.replace_iam_instance_profile_association(
            AssociationId=found[0]["AssociationId"], IamInstanceProfile={"Name": "two"}
        )
        self.assertTrue(self.instance(identity)["IamInstanceProfile"]["Arn"].endswith("instance-profile/two"))
        found = self.ec2.describe_iam_instance_profile_associations(Filters=by(instance_id=identity))[
            "IamInstanceProfileAssociations"
        ]
        self.ec2.disassociate_iam_instance_profile(AssociationId=found[0]["AssociationId"])
        self.assertNotIn("IamInstanceProfile", self.instance(identity))
        self.refused("InvalidParameterValue", self.run_one, IamInstanceProfile={"Name": "three"})

    def test_descriptions_of_rules(self) -> None:
        group = self.ec2.create_security_group(GroupName="d", Description="d")["GroupId"]

        def rule(text: str) -> list[dict[str, Any]]:
            return [
                {
                    "IpProtocol": "tcp",
                    "FromPort": 22,
                    "ToPort": 22,
                    "IpRanges": [{"CidrIp": "192.0.2.1/32", "Description": text}],
                }
            ]

        self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rule("before"))
        self.ec2.update_security_group_rule_descriptions_ingress(GroupId=group, IpPermissions=rule("after"))
        found = self.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
        self.assertEqual(found["IpPermissions"][0]["IpRanges"], [{"CidrIp": "192.0.2.1/32", "Description": "after"}])

    def test_the_default_key(self) -> None:
        self.assertIn("aws/ebs", self.ec2.get_ebs_default_kms_key_id()["KmsKeyId"])

    def test_zones_by_name(self) -> None:
        route53 = self.double.client("route53", region="us-east-1")
        zone = route53.create_hosted_zone(Name="by-name.example", CallerReference="x")["HostedZone"]["Id"]
        found = route53.list_hosted_zones_by_name(DNSName="by-name.example", MaxItems="1")["HostedZones"]
        self.assertEqual([entry["Id"] for entry in found], [zone])
        record = {"Name": "a.by-name.example", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "127.0.0.1"}]}
        batch = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
        change = route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)["ChangeInfo"]["Id"]
        self.assertEqual(route53.get_change(Id=change)["ChangeInfo"]["Status"], "INSYNC")
        start = {"StartRecordName": "a.by-name.example", "StartRecordType": "A"}
        found = route53.list_resource_record_sets(HostedZoneId=zone, MaxItems="1", **start)["ResourceRecordSets"]
        self.assertEqual([entry["Name"] for entry in found], ["a.by-name.example."])
        self.refused("NoSuchHostedZone", route53.get_hosted_zone, Id="Z0000000000000")


if __name__ == "__main__":
    unittest.main()
