"""RunInstances: what AWS refuses and moto takes, and disks as the image and the request want them."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.models.instances import InstanceBackend
from moto.ec2.responses.instances import InstanceResponse

from .account import THE
from .catalogue import root_mapping
from .patch import around, refuse

USER_DATA_LIMIT = 16384  # bytes, before base64: "User data is limited to 16 KB, in raw form"


def type_of(name: str) -> dict[str, Any]:
    """What is known of an instance type; one that is not there is refused as RunInstances does."""
    found: dict[str, Any] | None = INSTANCE_TYPES.get(name)
    if found is None:
        raise refuse("InvalidParameterValue", f"Invalid value '{name}' for InstanceType.")
    return found


def vcpus(name: str) -> int:
    return int(INSTANCE_TYPES[name]["VCpuInfo"]["DefaultVCpus"])


@around(InstanceResponse, "_parse_block_device_mapping")
def parse_block_device_mapping(original: Any, self: Any) -> list[dict[str, Any]]:
    """The image's root disk, changed by what was asked for: moto knows no defaults and forgets iops and throughput."""
    images = self.ec2_backend.describe_images(ami_ids=[self._get_param("ImageId")])
    mappings = {entry["DeviceName"]: entry for entry in root_mapping(images[0])}
    for asked in self._get_param("BlockDeviceMappings", []):
        device, wanted = asked["DeviceName"], asked.get("Ebs", {})
        base = mappings.get(device, {}).get("Ebs", {})
        size = wanted.get("VolumeSize") or base.get("VolumeSize")
        if size is None and not wanted.get("SnapshotId"):
            raise refuse("MissingParameter", "The request must contain the parameter size or snapshotId")
        if base and int(size) < base["VolumeSize"]:
            raise refuse(
                "InvalidBlockDeviceMapping",
                f"Volume of size {size}GB is smaller than snapshot '{base['SnapshotId']}',"
                f" expect size>= {base['VolumeSize']}GB",
            )
        mappings[device] = {"DeviceName": device, "Ebs": {**base, **wanted, "VolumeSize": int(size)}}
    for mapping in mappings.values():
        # Moto would take size and encryption from its own idea of the image's snapshot.
        mapping["Ebs"].pop("SnapshotId", None)
    return list(mappings.values())


def free_zone(backend: Any, asked: str | None, subnet: str | None, kind: str) -> str:
    """The zone that an instance goes to: the asked one, or one that has room."""
    wanted = backend.get_subnet(subnet).availability_zone if subnet else asked
    zones = [wanted] if wanted else sorted(backend.get_default_subnets())
    for zone in zones:
        if zone not in THE.full_zones:
            return zone
    there = ", ".join(sorted(set(backend.get_default_subnets()) - set(THE.full_zones))) or "none"
    raise refuse(
        "InsufficientInstanceCapacity",
        f"We currently do not have sufficient {kind} capacity in the Availability Zone you requested"
        f" ({wanted or 'any'}). Our system will be working on provisioning additional capacity. You can currently get"
        f" {kind} capacity by not specifying an Availability Zone in your request or choosing {there}.",
    )


def check_quota(backend: Any, kind: str, count: int) -> None:
    used = 0
    for reservation in backend.reservations.values():
        used += sum(vcpus(there.instance_type) for there in reservation.instances if there.state == "running")
    if THE.vcpu_limit is not None and used + count * vcpus(kind) > THE.vcpu_limit:
        raise refuse(
            "VcpuLimitExceeded",
            f"You have requested more vCPU capacity than your current vCPU limit of {THE.vcpu_limit} allows for the"
            " instance bucket that the specified instance type belongs to. Please visit"
            " http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.",
        )


@around(InstanceBackend, "run_instances")
def run_instances(
    original: Any, self: Any, image_id: str, count: int, user_data: Any, security_group_names: list[str], **kwargs: Any
) -> Any:
    kind, spot = kwargs["instance_type"], bool(kwargs.get("instance_market_options"))
    image = self.describe_images(ami_ids=[image_id])[0]
    architectures = type_of(kind)["ProcessorInfo"]["SupportedArchitectures"]
    if image.architecture not in architectures:
        raise refuse(
            "InvalidParameterValue",
            f"The architecture '{','.join(architectures)}' of the specified instance type does not match the"
            f" architecture '{image.architecture}' of the specified AMI. Specify an instance type and an AMI that have"
            " matching architectures, and try again.",
        )
    if user_data and len(base64.b64decode(str(user_data))) > USER_DATA_LIMIT:
        raise refuse("InvalidParameterValue", "User data is limited to 16384 bytes")
    if kwargs.get("key_name"):
        self.describe_key_pairs(key_names=[kwargs["key_name"]])
    nics = kwargs.get("nics") or []
    subnet = kwargs.get("subnet_id") or next((nic["SubnetId"] for nic in nics if "SubnetId" in nic), None)
    if subnet is None and self.get_default_vpc() is None:
        raise refuse(
            "VPCIdNotSpecified",
            "No default VPC for this user. GroupName is only supported for EC2-Classic and default VPC.",
        )
    if spot and not THE.spot_capacity:
        raise refuse("InsufficientInstanceCapacity", "There is no Spot capacity available that matches your request.")
    zone = free_zone(self, kwargs.get("placement"), subnet, kind)
    if subnet is None:
        kwargs["placement"] = zone
    if not spot:
        check_quota(self, kind, count)
    addresses = kwargs.get("ipv6_address_count") or next(
        (nic["Ipv6AddressCount"] for nic in nics if nic.get("Ipv6AddressCount")), None
    )
    if addresses:
        network = self.get_subnet(subnet) if subnet else self.get_default_subnets()[zone]
        if not network.ipv6_cidr_block_associations:
            raise refuse("InvalidParameterValue", f"The subnet '{network.id}' does not have an IPv6 CIDR block.")
        kwargs["ipv6_address_count"] = int(addresses)

    mappings = kwargs.pop("block_device_mappings", None) or root_mapping(image)
    volume_tags = kwargs.get("tags", {}).get("volume", {})
    # Nothing of an instance exists unless all of it can: what may be refused comes before moto's own call.
    reservation = original(self, image_id, count, user_data, security_group_names, block_device_mappings=[], **kwargs)
    for instance in reservation.instances:
        instance.reservation_id = reservation.id
        for nic in instance.nics.values():
            nic.delete_on_termination = True
            nic.add_tags(kwargs.get("tags", {}).get("network-interface", {}))
        if not instance.security_groups:
            # Those of its interface, or the default one; moto shows none.
            instance.security_groups = list(instance.nics[0].group_set)
        instance.spot_instance_request_id = f"sir-{secrets.token_hex(4)}" if spot else None
        instance.cpu_credits = None
        for mapping in mappings:
            wanted = mapping["Ebs"]
            volume = self.create_volume(
                size=wanted["VolumeSize"],
                zone_name=zone,
                encrypted=wanted.get("Encrypted", False),
                kms_key_id=wanted.get("KmsKeyId"),
                volume_type=wanted.get("VolumeType") or "gp3",
                iops=wanted.get("Iops"),
                throughput=wanted.get("Throughput"),
            )
            volume.add_tags(volume_tags)
            ends = wanted.get("DeleteOnTermination", mapping["DeviceName"] == image.root_device_name)
            self.attach_volume(volume.id, instance.id, mapping["DeviceName"], ends, launching=True)
    return reservation
