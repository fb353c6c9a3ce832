"""Instances that are virtual machines: one story, a few minutes under emulation."""

import os
import pathlib
import socket
import subprocess
import tempfile
import time
import unittest
from collections.abc import Callable
from typing import Any

from awsdouble.tests.bench import DoubleCase

BOOT = 400.0  # seconds; about 60 on an idle computer without KVM
SOON = 60.0
USER_DATA = """#cloud-config
write_files:
  - {path: /etc/from-user-data, content: "it came through"}
"""
BY_ID = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_"
SSH = (
    "BatchMode=yes",
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
    "LogLevel=ERROR",
    "ConnectTimeout=20",
)


# Of a container's, other things hold: doubles/tests/test_container.py.
os.environ["PROVISION_LAB_MACHINES"] = "qemu"


class Machines(DoubleCase):
    flags = ("--machines",)
    key: pathlib.Path
    began: float
    identity: str

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.key = pathlib.Path(folder.name, "key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", cls.key], check=True)
        cls.ec2.import_key_pair(KeyName="key", PublicKeyMaterial=cls.key.with_suffix(".pub").read_bytes())
        cls.began = time.monotonic()

    def say(self, what: str) -> None:
        print(f"{time.monotonic() - self.began:6.1f} s  {what}", flush=True)

    def wait(self, what: str, ready: Callable[[], Any], seconds: float) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := ready()):
            self.assertLess(time.monotonic(), deadline, f"no {what} within {seconds:.0f} s")
            time.sleep(0.5)
        self.say(what)
        return found

    def ssh(self, command: str) -> subprocess.CompletedProcess[str]:
        options = [word for option in SSH for word in ("-o", option)]
        target = f"debian@{self.address()}"
        return subprocess.run(
            ["ssh", "-F", "none", "-i", self.key, *options, target, command],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def out(self, command: str) -> str:
        done = self.ssh(command)
        self.assertEqual(done.returncode, 0, f"{command}: {done.stderr}")
        return done.stdout.strip()

    def address(self) -> str:
        return str(self.instance(self.identity)["PublicIpAddress"])

    def answers(self, address: str, port: int = 22) -> bool:
        """Whether sshd is there; a forward alone takes connections and says nothing."""
        try:
            with socket.create_connection((address, port), 2) as connection:
                connection.settimeout(5)
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def refuses(self, address: str, port: int = 22) -> bool:
        try:
            socket.create_connection((address, port), 2).close()
        except ConnectionRefusedError:
            return True
        return False

    def state(self) -> str:
        return str(self.instance(self.identity)["State"]["Name"])

    def boot_id(self) -> str:
        done = self.ssh("cat /proc/sys/kernel/random/boot_id")
        return done.stdout.strip() if done.returncode == 0 else ""

    def size(self, device: str) -> int:
        return int(self.out(f"lsblk -bdno SIZE $(readlink -f {device})")) >> 30

    def test_story(self) -> None:
        group = self.ec2.create_security_group(GroupName="web", Description="web")["GroupId"]
        ssh = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
        self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=ssh)
        disk = [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 9}}]
        made = self.run_one(
            KeyName="key",
            SecurityGroupIds=[group],
            UserData=USER_DATA,
            BlockDeviceMappings=disk,
            MetadataOptions={"HttpTokens": "required"},
            InstanceInitiatedShutdownBehavior="terminate",
        )
        self.identity = made["InstanceId"]
        self.say(f"{self.identity} at {self.address()}")
        first = self.address()
        self.wait("sshd's banner", lambda: self.answers(first), BOOT)
        self.wait("login with the key", self.boot_id, BOOT)
        self.out("cloud-init status --wait")
        self.say("cloud-init is done")
        self.assertEqual(self.out("cloud-id; cat /etc/from-user-data"), "aws\nit came through")
        metadata = "http://169.254.169.254/latest"
        self.assertEqual(self.out(f"curl -so /dev/null -w '%{{http_code}}' {metadata}/meta-data/instance-id"), "401")
        token = f"curl -sfX PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' {metadata}/api/token"
        header = f'-H "X-aws-ec2-metadata-token: $({token})"'
        self.assertEqual(self.out(f"curl -sf {header} {metadata}/meta-data/instance-id"), self.identity)
        self.assertEqual(self.size("/dev/vda"), 9)
        console = self.ec2.get_console_output(InstanceId=self.identity)["Output"]
        self.assertIn("cloud-init", console)
        self.say("user-data, metadata, console")

        zone = made["Placement"]["AvailabilityZone"]
        volume = self.ec2.create_volume(AvailabilityZone=zone, Size=1, VolumeType="gp3")["VolumeId"]
        device = BY_ID + volume.replace("-", "")
        self.ec2.attach_volume(VolumeId=volume, InstanceId=self.identity, Device="/dev/sdf")
        self.wait("the volume", lambda: self.ssh(f"test -b {device}").returncode == 0, SOON)
        self.out(f"sudo mkfs.ext4 -q {device} && sudo mount {device} /mnt && echo kept | sudo tee /mnt/file && sync")
        self.ec2.modify_volume(VolumeId=volume, Size=2)
        self.wait("the volume has grown", lambda: self.size(device) == 2, SOON)
        root = next(
            entry["Ebs"]["VolumeId"]
            for entry in self.instance(self.identity)["BlockDeviceMappings"]
            if entry["DeviceName"] == "/dev/xvda"
        )
        self.ec2.modify_volume(VolumeId=root, Size=12)
        self.wait("the root disk has grown", lambda: self.size("/dev/vda") == 12, SOON)

        self.assertTrue(self.refuses(first, 80))
        web = [{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
        self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=web)
        self.assertFalse(self.refuses(first, 80))
        self.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=web)
        self.assertTrue(self.refuses(first, 80))
        self.say("ports open and close")

        elastic = self.ec2.allocate_address(Domain="vpc")
        moved = self.ec2.associate_address(AllocationId=elastic["AllocationId"], InstanceId=self.identity)
        self.wait("the elastic address", lambda: self.answers(elastic["PublicIp"]), SOON)
        self.assertTrue(self.refuses(first))
        self.ec2.disassociate_address(AssociationId=moved["AssociationId"])
        self.assertTrue(self.refuses(elastic["PublicIp"]))
        self.ec2.associate_address(AllocationId=elastic["AllocationId"], InstanceId=self.identity)
        self.say("the address left and came back")

        before = self.boot_id()
        self.out("sudo umount /mnt")
        self.ec2.stop_instances(InstanceIds=[self.identity])
        self.assertEqual(self.state(), "stopping")
        self.wait("stopped", lambda: self.state() == "stopped", BOOT)
        self.assertTrue(self.refuses(elastic["PublicIp"]))
        self.ec2.modify_instance_attribute(InstanceId=self.identity, InstanceType={"Value": "t3.medium"})
        self.ec2.modify_volume(VolumeId=volume, Size=3)
        self.ec2.start_instances(InstanceIds=[self.identity])
        self.wait("login after the start", lambda: self.boot_id() not in ("", before), BOOT)
        self.assertEqual(self.address(), elastic["PublicIp"])
        self.assertGreater(int(self.out("awk '/MemTotal/ { print $2 }' /proc/meminfo")), 3 << 20)
        self.assertEqual(self.size(device), 3)
        found = self.out(f"sudo mount {device} /mnt && cat /mnt/file /etc/from-user-data; sudo umount /mnt")
        self.assertEqual(found, "kept\nit came through")
        self.say("a bigger type, the same disks")

        self.ec2.detach_volume(VolumeId=volume, InstanceId=self.identity)
        self.wait("the volume is gone", lambda: self.ssh(f"test -b {device}").returncode == 1, SOON)
        self.ec2.attach_volume(VolumeId=volume, InstanceId=self.identity, Device="/dev/sdf")
        self.ssh("sudo systemctl poweroff")
        self.wait("terminated by its own shutdown", lambda: self.state() == "terminated", BOOT)
        self.assertTrue(self.refuses(elastic["PublicIp"]))
        self.assertEqual(self.ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"], "available")
        files = {file.name for file in pathlib.Path(self.double.ready["machines"], "volumes").iterdir()}
        self.assertEqual(files, {f"{volume}.qcow2"})

        other = self.run_one(Placement=made["Placement"])["InstanceId"]
        self.ec2.attach_volume(VolumeId=volume, InstanceId=other, Device="/dev/sdf")
        self.ec2.terminate_instances(InstanceIds=[other])
        self.assertEqual(self.instance(other)["State"]["Name"], "terminated")
        self.ec2.delete_volume(VolumeId=volume)
        folder = pathlib.Path(self.double.ready["machines"])
        self.assertEqual([file.name for file in sorted(folder.rglob("*")) if file.is_file()], ["lock"])
        self.double.close()
        self.assertFalse(folder.exists())
        self.say("nothing is left")


if __name__ == "__main__":
    unittest.main()
