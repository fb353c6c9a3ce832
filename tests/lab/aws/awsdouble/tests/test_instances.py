"""Instances, images and groups."""

import base64
import unittest
from typing import Any

from awsdouble.tests.bench import PUBLIC_KEY, DoubleCase, tagged


class Instances(DoubleCase):
    def setUp(self) -> None:
        super().setUp()
        everything = {"full_zones": [], "spot_capacity": True, "vcpu_limit": None, "expired": False}
        self.double.lab("account", everything)

    def test_a_client_token_makes_one_instance(self) -> None:
        first = self.run_one(ClientToken="one", UserData="x")
        self.assertEqual(self.run_one(ClientToken="one", UserData="x")["InstanceId"], first["InstanceId"])
        self.refused("IdempotentParameterMismatch", self.run_one, ClientToken="one", UserData="y")
        found = self.ec2.describe_instances(Filters=[{"Name": "client-token", "Values": ["one"]}])["Reservations"]
        self.assertEqual([found["InstanceId"] for found in found[0]["Instances"]], [first["InstanceId"]])
        self.ec2.terminate_instances(InstanceIds=[first["InstanceId"]])
        self.assertEqual(self.run_one(ClientToken="one", UserData="x")["InstanceId"], first["InstanceId"])
        self.assertEqual(self.instance(first["InstanceId"])["State"]["Name"], "terminated")

    def test_what_is_unknown_is_refused(self) -> None:
        self.refused("InvalidAMIID.NotFound", self.run_one, ImageId="ami-0123456789abcdef0")
        self.refused("InvalidParameterValue", self.run_one, InstanceType="t3.huge")
        self.refused("InvalidKeyPair.NotFound", self.run_one, KeyName="nobody")
        self.refused("InvalidGroup.NotFound", self.run_one, SecurityGroupIds=["sg-0123456789abcdef0"])
        self.refused("InvalidParameterValue", self.run_one, InstanceType="t4g.small")
        self.run_one(InstanceType="t4g.small", ImageId=self.image("debian-13-arm64-*"))

    def test_user_data_has_a_limit(self) -> None:
        self.run_one(UserData="x" * 16384)
        self.assertIn("16384", self.refused("InvalidParameterValue", self.run_one, UserData="x" * 16385))

    def test_every_attribute_is_kept(self) -> None:
        self.ec2.import_key_pair(
            KeyName="kept", PublicKeyMaterial=PUBLIC_KEY, TagSpecifications=tagged("key-pair", a="b")
        )
        group = self.ec2.create_security_group(GroupName="kept", Description="kept")["GroupId"]
        disk = {
            "VolumeSize": 20,
            "VolumeType": "gp3",
            "Encrypted": True,
            "Iops": 3500,
            "Throughput": 150,
            "DeleteOnTermination": True,
        }
        made = self.run_one(
            KeyName="kept",
            SecurityGroupIds=[group],
            MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
            BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": disk}],
            TagSpecifications=tagged("instance", Name="kept") + tagged("volume", Name="root"),
            InstanceInitiatedShutdownBehavior="terminate",
            CreditSpecification={"CpuCredits": "standard"},
            UserData="#cloud-config",
        )
        self.assertEqual(made["State"]["Name"], "pending")
        found = self.instance(made["InstanceId"])
        self.assertEqual(found["MetadataOptions"]["HttpTokens"], "required")
        self.assertEqual(found["Tags"], [{"Key": "Name", "Value": "kept"}])
        self.assertEqual([entry["GroupId"] for entry in found["SecurityGroups"]], [group])
        self.assertEqual([entry["DeviceName"] for entry in found["BlockDeviceMappings"]], ["/dev/xvda"])
        ebs = found["BlockDeviceMappings"][0]["Ebs"]
        self.assertTrue(ebs["DeleteOnTermination"])
        volume = self.ec2.describe_volumes(VolumeIds=[ebs["VolumeId"]])["Volumes"][0]
        self.assertEqual(
            {key: volume[key] for key in ("Size", "VolumeType", "Encrypted", "Iops", "Throughput")},
            {"Size": 20, "VolumeType": "gp3", "Encrypted": True, "Iops": 3500, "Throughput": 150},
        )
        self.assertTrue(volume["Attachments"][0]["DeleteOnTermination"])
        self.assertEqual(volume["Tags"], [{"Key": "Name", "Value": "root"}])
        credit = self.ec2.describe_instance_credit_specifications(InstanceIds=[made["InstanceId"]])
        self.assertEqual(credit["InstanceCreditSpecifications"][0]["CpuCredits"], "standard")
        wanted = [{"InstanceId": made["InstanceId"], "CpuCredits": "unlimited"}]
        done = self.ec2.modify_instance_credit_specification(InstanceCreditSpecifications=wanted)
        self.assertEqual(len(done["SuccessfulInstanceCreditSpecifications"]), 1)
        credit = self.ec2.describe_instance_credit_specifications(InstanceIds=[made["InstanceId"]])
        self.assertEqual(credit["InstanceCreditSpecifications"][0]["CpuCredits"], "unlimited")
        self.assertEqual(base64.b64decode(self.attribute(made, "userData", "UserData")), b"#cloud-config")
        behaviour = ("instanceInitiatedShutdownBehavior", "InstanceInitiatedShutdownBehavior")
        self.assertEqual(self.attribute(made, *behaviour), "terminate")
        self.ec2.modify_instance_attribute(
            InstanceId=made["InstanceId"], InstanceInitiatedShutdownBehavior={"Value": "stop"}
        )
        self.assertEqual(self.attribute(made, *behaviour), "stop")
        self.ec2.modify_instance_metadata_options(InstanceId=made["InstanceId"], HttpPutResponseHopLimit=2)
        options = self.instance(made["InstanceId"])["MetadataOptions"]
        self.assertEqual((options["HttpTokens"], options["HttpPutResponseHopLimit"]), ("required", 2))

    def attribute(self, made: dict[str, Any], name: str, key: str) -> str:
        found = self.ec2.describe_instance_attribute(InstanceId=made["InstanceId"], Attribute=name)
        return str(found[key]["Value"])

    def test_the_root_disk_comes_from_the_image(self) -> None:
        made = self.run_one(BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True}}])
        volumes = self.ec2.describe_volumes(
            Filters=[{"Name": "attachment.instance-id", "Values": [made["InstanceId"]]}]
        )
        self.assertEqual([(found["Size"], found["Encrypted"]) for found in volumes["Volumes"]], [(8, True)])
        small = [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 4}}]
        self.refused("InvalidBlockDeviceMapping", self.run_one, BlockDeviceMappings=small)
        self.ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
        self.refused("InvalidVolume.NotFound", self.ec2.describe_volumes, VolumeIds=[volumes["Volumes"][0]["VolumeId"]])

    def test_the_type_changes_only_when_stopped(self) -> None:
        identity = self.run_one()["InstanceId"]
        wanted = {"InstanceId": identity, "InstanceType": {"Value": "t3.medium"}}
        self.refused("IncorrectInstanceState", self.ec2.modify_instance_attribute, **wanted)
        self.ec2.stop_instances(InstanceIds=[identity])
        self.refused(
            "InvalidParameterValue",
            self.ec2.modify_instance_attribute,
            InstanceId=identity,
            InstanceType={"Value": "x"},
        )
        self.ec2.modify_instance_attribute(**wanted)
        self.ec2.start_instances(InstanceIds=[identity])
        self.assertEqual(self.instance(identity)["InstanceType"], "t3.medium")
        self.ec2.terminate_instances(InstanceIds=[identity])
        self.ec2.terminate_instances(InstanceIds=[identity])
        self.refused("IncorrectInstanceState", self.ec2.start_instances, InstanceIds=[identity])

    def test_protection_against_termination(self) -> None:
        identity = self.run_one()["InstanceId"]
        self.ec2.modify_instance_attribute(InstanceId=identity, DisableApiTermination={"Value": True})
        self.refused("OperationNotPermitted", self.ec2.terminate_instances, InstanceIds=[identity])

    def test_spot(self) -> None:
        spot = {"InstanceMarketOptions": {"MarketType": "spot"}}
        identity = self.run_one(**spot)["InstanceId"]
        found = self.instance(identity)
        self.assertEqual(found["InstanceLifecycle"], "spot")
        self.assertTrue(found["SpotInstanceRequestId"].startswith("sir-"))
        self.refused("UnsupportedOperation", self.ec2.stop_instances, InstanceIds=[identity])
        self.double.lab("account", {"spot_capacity": False})
        self.refused("InsufficientInstanceCapacity", self.run_one, **spot)
        self.assertNotIn("InstanceLifecycle", self.instance(self.run_one()["InstanceId"]))

    def test_capacity_by_zone(self) -> None:
        self.double.lab("account", {"full_zones": ["eu-central-1a"]})
        placed = {"Placement": {"AvailabilityZone": "eu-central-1a"}}
        self.assertIn("eu-central-1b", self.refused("InsufficientInstanceCapacity", self.run_one, **placed))
        self.assertEqual(self.run_one()["Placement"]["AvailabilityZone"], "eu-central-1b")
        subnets = self.ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
        by_zone = {subnet["AvailabilityZone"]: subnet["SubnetId"] for subnet in subnets}
        self.refused("InsufficientInstanceCapacity", self.run_one, SubnetId=by_zone["eu-central-1a"])
        self.run_one(SubnetId=by_zone["eu-central-1c"])
        self.double.lab("account", {"full_zones": list(by_zone)})
        self.refused("InsufficientInstanceCapacity", self.run_one)

    def test_quota(self) -> None:
        self.double.lab("account", {"vcpu_limit": 1})
        self.refused("VcpuLimitExceeded", self.run_one)

    def test_types_tell_their_architecture(self) -> None:
        found = self.ec2.describe_instance_types(InstanceTypes=["t4g.small", "t3.small"])["InstanceTypes"]
        architectures = {entry["InstanceType"]: entry["ProcessorInfo"]["SupportedArchitectures"] for entry in found}
        self.assertEqual(architectures, {"t3.small": ["x86_64"], "t4g.small": ["arm64"]})
        self.refused("InvalidInstanceType", self.ec2.describe_instance_types, InstanceTypes=["t3.huge"])

    def test_images_by_owner_and_by_parameter(self) -> None:
        ssm = self.double.client("ssm")
        for parameter, name, owner in (
            ("/aws/service/debian/release/13/latest/amd64", "debian-13-amd64-*", "136693071363"),
            ("/aws/service/debian/release/12/latest/arm64", "debian-12-arm64-*", "136693071363"),
            (
                "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id",
                "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-*",
                "099720109477",
            ),
            (
                "/aws/service/canonical/ubuntu/server/22.04/stable/current/arm64/hvm/ebs-gp2/ami-id",
                "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-arm64-server-*",
                "099720109477",
            ),
        ):
            value = ssm.get_parameter(Name=parameter)["Parameter"]["Value"]
            self.assertEqual(value, self.image(name, owner), parameter)
            filters = [{"Name": "name", "Values": [name]}]
            self.assertEqual(len(self.ec2.describe_images(Owners=[owner], Filters=filters)["Images"]), 2)
        image = self.ec2.describe_images(ImageIds=[self.image("debian-13-arm64-*")])["Images"][0]
        self.assertEqual((image["Architecture"], image["RootDeviceName"]), ("arm64", "/dev/xvda"))
        self.assertEqual(image["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"], 8)
        self.assertRegex(image["Name"], r"^debian-13-arm64-\d{8}-\d{4}$")


class Networks(DoubleCase):
    def test_a_group_in_use_stays(self) -> None:
        group = self.ec2.create_security_group(GroupName="used", Description="used")["GroupId"]
        other = self.ec2.create_security_group(GroupName="other", Description="other")["GroupId"]
        identity = self.run_one(SecurityGroupIds=[group])["InstanceId"]
        self.refused("DependencyViolation", self.ec2.delete_security_group, GroupId=group)
        self.ec2.modify_instance_attribute(InstanceId=identity, Groups=[other])
        self.ec2.delete_security_group(GroupId=group)
        self.refused("DependencyViolation", self.ec2.delete_security_group, GroupId=other)
        self.ec2.terminate_instances(InstanceIds=[identity])
        self.ec2.delete_security_group(GroupId=other)
        self.refused("InvalidGroup.NotFound", self.ec2.delete_security_group, GroupId=other)

    def test_group_of_an_interface(self) -> None:
        group = self.ec2.create_security_group(
            GroupName="nic", Description="nic", TagSpecifications=tagged("security-group", a="b")
        )
        subnet = self.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
        interface = {
            "DeviceIndex": 0,
            "SubnetId": subnet,
            "Groups": [group["GroupId"]],
            "AssociatePublicIpAddress": True,
        }
        identity = self.run_one(NetworkInterfaces=[interface])["InstanceId"]
        found = self.instance(identity)
        self.assertIn("PublicIpAddress", found)
        self.assertEqual([entry["GroupId"] for entry in found["SecurityGroups"]], [group["GroupId"]])
        self.refused("DependencyViolation", self.ec2.delete_security_group, GroupId=group["GroupId"])

    def test_rules(self) -> None:
        group = self.ec2.create_security_group(GroupName="rules", Description="rules")["GroupId"]
        rule = {
            "IpProtocol": "udp",
            "FromPort": 443,
            "ToPort": 443,
            "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "https"}],
            "Ipv6Ranges": [{"CidrIpv6": "::/0"}],
        }
        self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
        self.refused(
            "InvalidPermission.Duplicate",
            self.ec2.authorize_security_group_ingress,
            GroupId=group,
            IpPermissions=[rule],
        )
        self.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[rule])
        found = self.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
        self.assertEqual(found["IpPermissions"], [])
        self.refused("InvalidGroup.Duplicate", self.ec2.create_security_group, GroupName="rules", Description="again")

    def test_ipv6(self) -> None:
        self.refused("InvalidParameterValue", self.run_one, Ipv6AddressCount=1)
        self.double.lab("account", {"ipv6": True})
        found = self.instance(self.run_one(Ipv6AddressCount=1)["InstanceId"])
        self.assertEqual(len(found["NetworkInterfaces"][0]["Ipv6Addresses"]), 1)


class WithoutDefaultVpc(DoubleCase):
    def test_everything_names_its_network(self) -> None:
        self.ec2.describe_vpcs()
        self.double.lab("account", {"default_vpc": False})
        self.assertEqual(self.ec2.describe_vpcs()["Vpcs"], [])
        other = self.double.client("ec2", region="us-east-1")
        self.assertEqual(other.describe_subnets()["Subnets"], [])
        self.refused("VPCIdNotSpecified", self.run_one)
        self.refused("VPCIdNotSpecified", self.ec2.create_security_group, GroupName="a", Description="a")
        vpc = self.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = self.ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
        group = self.ec2.create_security_group(GroupName="a", Description="a", VpcId=vpc)["GroupId"]
        self.assertEqual(self.run_one(SubnetId=subnet, SecurityGroupIds=[group])["VpcId"], vpc)


if __name__ == "__main__":
    unittest.main()
