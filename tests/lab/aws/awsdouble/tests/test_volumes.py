"""Volumes and addresses."""

import time
import unittest
from typing import Any

from awsdouble.tests.bench import DoubleCase, tagged


class Volumes(DoubleCase):
    def make(self, **more: Any) -> str:
        given = {"AvailabilityZone": "eu-central-1a", "Size": 10, "VolumeType": "gp3", "Encrypted": True, **more}
        return str(self.ec2.create_volume(**given)["VolumeId"])

    def volume(self, identity: str) -> dict[str, Any]:
        return dict(self.ec2.describe_volumes(VolumeIds=[identity])["Volumes"][0])

    def test_a_client_token_makes_one_volume(self) -> None:
        first = self.make(ClientToken="one", TagSpecifications=tagged("volume", a="b"))
        self.assertEqual(self.make(ClientToken="one", TagSpecifications=tagged("volume", a="b")), first)
        self.refused("IdempotentParameterMismatch", self.make, ClientToken="one", Size=11)
        self.assertEqual(self.volume(first)["Tags"], [{"Key": "a", "Value": "b"}])

    def test_attach_and_detach(self) -> None:
        volume = self.make()
        placed = {"Placement": {"AvailabilityZone": "eu-central-1a"}}
        one, two = (self.run_one(**placed)["InstanceId"] for _ in range(2))
        far = self.run_one(Placement={"AvailabilityZone": "eu-central-1b"})["InstanceId"]
        attach = self.ec2.attach_volume
        self.refused("InvalidVolume.ZoneMismatch", attach, VolumeId=volume, InstanceId=far, Device="/dev/sdf")
        self.refused("IncorrectState", self.ec2.detach_volume, VolumeId=volume)
        self.assertEqual(attach(VolumeId=volume, InstanceId=one, Device="/dev/sdf")["State"], "attaching")
        self.assertEqual(self.volume(volume)["State"], "in-use")
        self.assertFalse(self.volume(volume)["Attachments"][0]["DeleteOnTermination"])
        self.refused("VolumeInUse", attach, VolumeId=volume, InstanceId=two, Device="/dev/sdf")
        self.refused("InvalidParameterValue", attach, VolumeId=self.make(), InstanceId=one, Device="/dev/sdf")
        self.refused("VolumeInUse", self.ec2.delete_volume, VolumeId=volume)
        self.refused("InvalidAttachment.NotFound", self.ec2.detach_volume, VolumeId=volume, InstanceId=two)
        root = self.instance(one)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
        self.refused("OperationNotPermitted", self.ec2.detach_volume, VolumeId=root)
        self.ec2.terminate_instances(InstanceIds=[one])
        self.assertEqual(self.volume(volume)["State"], "available")
        self.refused("IncorrectState", attach, VolumeId=volume, InstanceId=one, Device="/dev/sdf")
        attach(VolumeId=volume, InstanceId=two, Device="/dev/sdf")
        self.ec2.detach_volume(VolumeId=volume, InstanceId=two)
        self.ec2.delete_volume(VolumeId=volume)
        self.refused("InvalidVolume.NotFound", self.ec2.describe_volumes, VolumeIds=[volume])
        self.refused("InvalidVolume.NotFound", self.ec2.delete_volume, VolumeId=volume)

    def test_growing(self) -> None:
        volume = self.make()
        self.refused("InvalidVolumeModification.NotFound", self.ec2.describe_volumes_modifications, VolumeIds=[volume])
        self.refused("InvalidParameterValue", self.ec2.modify_volume, VolumeId=volume, Size=5)
        begun = self.ec2.modify_volume(VolumeId=volume, Size=20)["VolumeModification"]
        self.assertEqual(
            (begun["ModificationState"], begun["OriginalSize"], begun["TargetSize"]), ("modifying", 10, 20)
        )
        self.refused("IncorrectModificationState", self.ec2.modify_volume, VolumeId=volume, Size=30)
        seen: list[str] = []
        deadline = time.monotonic() + 10
        while "completed" not in seen and time.monotonic() < deadline:
            found = self.ec2.describe_volumes_modifications(VolumeIds=[volume])["VolumesModifications"]
            self.assertEqual(len(found), 1)
            seen += [found[0]["ModificationState"]] * (found[0]["ModificationState"] not in seen)
            time.sleep(0.05)
        self.assertEqual(seen[-2:], ["optimizing", "completed"])
        self.assertEqual(self.volume(volume)["Size"], 20)
        self.ec2.modify_volume(VolumeId=volume, Throughput=200)
        self.assertEqual(self.volume(volume)["Throughput"], 200)

    def test_snapshots_are_ours_alone(self) -> None:
        snapshot = self.ec2.create_snapshot(VolumeId=self.make(), TagSpecifications=tagged("snapshot", a="b"))
        found = self.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
        self.assertEqual([entry["SnapshotId"] for entry in found], [snapshot["SnapshotId"]])


class Addresses(DoubleCase):
    def test_an_address_moves(self) -> None:
        one, two = (self.run_one()["InstanceId"] for _ in range(2))
        before = self.instance(one)["PublicIpAddress"]
        made = self.ec2.allocate_address(Domain="vpc", TagSpecifications=tagged("elastic-ip", a="b"))
        address = made["AllocationId"]
        first = self.ec2.associate_address(AllocationId=address, InstanceId=one)["AssociationId"]
        self.assertNotEqual(before, made["PublicIp"])
        self.assertEqual(self.instance(one)["PublicIpAddress"], made["PublicIp"])
        again = {"AllocationId": address, "InstanceId": two}
        self.refused("Resource.AlreadyAssociated", self.ec2.associate_address, AllowReassociation=False, **again)
        self.refused("InvalidIPAddress.InUse", self.ec2.release_address, AllocationId=address)
        second = self.ec2.associate_address(**again, AllowReassociation=True)["AssociationId"]
        self.assertNotEqual(first, second)
        self.assertEqual(self.instance(two)["PublicIpAddress"], made["PublicIp"])
        self.assertNotEqual(self.instance(one).get("PublicIpAddress"), made["PublicIp"])
        for call in (self.ec2.stop_instances, self.ec2.start_instances):
            call(InstanceIds=[two])
            self.assertEqual(self.instance(two)["PublicIpAddress"], made["PublicIp"])
        self.ec2.disassociate_address(AssociationId=second)
        self.assertNotIn(self.instance(two)["PublicIpAddress"], (before, made["PublicIp"]))
        self.refused("InvalidAssociationID.NotFound", self.ec2.disassociate_address, AssociationId=second)
        self.ec2.associate_address(**again)
        before = self.instance(one)["PublicIpAddress"]
        self.ec2.stop_instances(InstanceIds=[one])
        self.assertNotIn("PublicIpAddress", self.instance(one))
        self.ec2.start_instances(InstanceIds=[one])
        self.assertNotEqual(self.instance(one)["PublicIpAddress"], before)
        self.ec2.terminate_instances(InstanceIds=[two])
        found = self.ec2.describe_addresses(AllocationIds=[address])["Addresses"][0]
        self.assertFalse(found.get("AssociationId"))
        self.assertEqual(found["Tags"], [{"Key": "a", "Value": "b"}])
        self.ec2.release_address(AllocationId=address)
        self.refused("InvalidAllocationID.NotFound", self.ec2.release_address, AllocationId=address)

    def test_quota(self) -> None:
        made = [self.ec2.allocate_address(Domain="vpc")["AllocationId"] for _ in range(5)]
        self.refused("AddressLimitExceeded", self.ec2.allocate_address, Domain="vpc")
        for address in made:
            self.ec2.release_address(AllocationId=address)


if __name__ == "__main__":
    unittest.main()
