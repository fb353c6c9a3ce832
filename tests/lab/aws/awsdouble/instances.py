"""Instances: what AWS refuses and moto takes, and attributes that moto drops."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.models import EC2Backend
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.models.instances import Instance, InstanceBackend
from moto.ec2.responses.instances import InstanceResponse
from moto.ec2.utils import filter_dict_attribute_mapping

from .account import THE
from .catalogue import root_mapping
from .patch import added, around, refuse

USER_DATA_LIMIT = 16384  # bytes, before base64: "User data is limited to 16 KB, in raw form"

# Filters of DescribeInstances that moto answers with a server error.
filter_dict_attribute_mapping.update(
    {
        "client-token": "client_token",
        "instance-lifecycle": "lifecycle",
        "reservation-id": "reservation_id",
        "root-device-name": "root_device_name",
    }
)


def type_of(name: str) -> dict[str, Any]:
    """What is known of an instance type; one that is not there is refused as RunInstances does."""
    found = INSTANCE_TYPES.get(name)
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
                f"Volume of size {size}GB is smaller than snapshot '{base['SnapshotId']}', expect size>= {base['VolumeSize']}GB",
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
        raise refuse("VPCIdNotSpecified", "No default VPC for this user. GroupName is only supported for EC2-Classic and default VPC.")
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
    reservation = original(
        self, image_id, count, user_data, security_group_names, block_device_mappings=[], **kwargs
    )
    for instance in reservation.instances:
        instance.reservation_id = reservation.id
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


@around(InstanceResponse, "run_instances")
def run_with_credits(original: Any, self: Any) -> Any:
    result = original(self)
    for instance in result.result.instances:
        wanted = self._get_param("CreditSpecification.CpuCredits")
        if instance.cpu_credits is None:
            instance.cpu_credits = wanted or ("standard" if instance.instance_type.startswith("t2.") else "unlimited")
    return result


def burstable(instance: Any) -> bool:
    return bool(INSTANCE_TYPES[instance.instance_type].get("BurstablePerformanceSupported"))


@added(InstanceResponse, "describe_instance_credit_specifications")
def describe_instance_credit_specifications(self: Any) -> ActionResult:
    asked = self._get_param("InstanceIds", [])
    instances = self.ec2_backend.get_multi_instances_by_id(asked) if asked else self.ec2_backend.all_instances()
    for instance in instances:
        if asked and not burstable(instance):
            raise refuse("UnsupportedOperation", f"The instance '{instance.id}' is not a burstable performance instance.")
    specifications = [
        {"InstanceId": instance.id, "CpuCredits": instance.cpu_credits}
        for instance in instances
        if burstable(instance) and instance.state != "terminated"
    ]
    return ActionResult({"InstanceCreditSpecifications": specifications})


@added(InstanceResponse, "modify_instance_credit_specification")
def modify_instance_credit_specification(self: Any) -> ActionResult:
    done = []
    for wanted in self._get_param("InstanceCreditSpecifications", []):
        [instance] = self.ec2_backend.get_multi_instances_by_id([wanted["InstanceId"]])
        if not burstable(instance):
            raise refuse("UnsupportedOperation", f"The instance '{instance.id}' is not a burstable performance instance.")
        instance.cpu_credits = wanted["CpuCredits"]
        done.append({"InstanceId": instance.id})
    return ActionResult(
        {"SuccessfulInstanceCreditSpecifications": done, "UnsuccessfulInstanceCreditSpecifications": []}
    )


@around(InstanceResponse, "modify_instance_attribute")
def modify_instance_attribute(original: Any, self: Any) -> Any:
    instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
    given = {name.split(".")[0] for name in self.data} | {str(self._get_param("Attribute"))}
    if {"InstanceType", "instanceType", "UserData", "userData", "Kernel"} & given and instance.state != "stopped":
        raise refuse("IncorrectInstanceState", f"The instance '{instance.id}' is not in the 'stopped' state.")
    kind = self._get_param("InstanceType.Value")
    if kind is not None:
        if instance.architecture not in type_of(kind)["ProcessorInfo"]["SupportedArchitectures"]:
            raise refuse(
                "InvalidParameterCombination",
                f"The architecture '{instance.architecture}' of the instance '{instance.id}' does not match {kind}.",
            )
    behaviour = self._get_param("InstanceInitiatedShutdownBehavior.Value")
    if behaviour is not None:
        if behaviour not in ("stop", "terminate"):
            raise refuse("InvalidParameterValue", f"Invalid value '{behaviour}' for instanceInitiatedShutdownBehavior.")
        instance.instance_initiated_shutdown_behavior = behaviour
        return EmptyResult()
    return original(self)


@around(InstanceBackend, "modify_instance_metadata_options")
def modify_instance_metadata_options(original: Any, self: Any, instance_id: str, **wanted: Any) -> Any:
    """What is not named stays; moto would set it back to its default."""
    there = self.get_instance(instance_id).metadata_options
    before = {
        "http_tokens": there.http_tokens,
        "hop_limit": there.http_put_response_hop_limit,
        "http_endpoint": there.http_endpoint,
        "http_protocol": there.http_protocol_ipv6,
        "metadata_tags": there.instance_metadata_tags,
    }
    merged = {name: wanted.get(name) if wanted.get(name) is not None else value for name, value in before.items()}
    return original(self, instance_id, **merged)


@around(InstanceBackend, "modify_instance_security_groups")
def modify_instance_security_groups(original: Any, self: Any, instance_id: str, groups: list[str]) -> Any:
    for group in groups:
        if self.get_security_group_from_id(group) is None:
            raise refuse("InvalidGroup.NotFound", f"The security group '{group}' does not exist")
    instance = original(self, instance_id, groups)
    instance.nics[0]._group_set = list(instance.security_groups)
    return instance


def not_terminated(backend: Any, ids: list[str], what: str) -> None:
    for instance in backend.get_multi_instances_by_id(ids):
        if instance.state in ("terminated", "shutting-down"):
            raise refuse(
                "IncorrectInstanceState",
                f"The instance '{instance.id}' is not in a state from which it can be {what}.",
            )


@around(InstanceBackend, "start_instances")
def start_instances(original: Any, self: Any, instance_ids: list[str]) -> Any:
    not_terminated(self, instance_ids, "started")
    for instance in self.get_multi_instances_by_id(instance_ids):
        if instance.state == "stopping":
            raise refuse(
                "IncorrectInstanceState",
                f"The instance '{instance.id}' is not in a state from which it can be started.",
            )
        if instance.state == "stopped":
            if instance.placement.zone in THE.full_zones:
                free_zone(self, instance.placement.zone, None, instance.instance_type)
            check_quota(self, instance.instance_type, 1)
    return original(self, instance_ids)


@around(InstanceBackend, "stop_instances")
def stop_instances(original: Any, self: Any, instance_ids: list[str]) -> Any:
    not_terminated(self, instance_ids, "stopped")
    for instance in self.get_multi_instances_by_id(instance_ids):
        if instance.lifecycle == "spot":
            raise refuse(
                "UnsupportedOperation",
                f"You can't stop the Spot Instance '{instance.id}' because it is associated with a one-time Spot"
                " Instance request. You can only stop Spot Instances associated with persistent Spot Instance requests.",
            )
    return original(self, instance_ids)


@around(Instance, "terminate")
def terminate(original: Any, self: Any) -> Any:
    if self.state == "terminated":
        return self.instance_state
    for address in list(self.ec2_backend.addresses):
        if address.instance is self:
            self.ec2_backend.disassociate_address(address=address.public_ip)
    previous = original(self)
    self.security_groups = []
    return previous


@around(EC2Backend, "__init__")
def begin(original: Any, self: Any, region_name: str, account_id: str) -> None:
    original(self, region_name, account_id)
    networks(self)


def networks(backend: Any) -> None:
    """Brings the default VPC of a region in line with the account's switches."""
    vpc = backend.get_default_vpc()
    if vpc is not None and not THE.default_vpc:
        for subnet in list(backend.get_default_subnets().values()):
            backend.delete_subnet(subnet.id)
        backend.delete_vpc(vpc.id)
    elif vpc is not None and THE.ipv6 and not vpc.get_cidr_block_association_set(ipv6=True):
        vpc.associate_vpc_cidr_block("", amazon_provided_ipv6_cidr_block=True)
        prefix = vpc.get_cidr_block_association_set(ipv6=True)[0]["cidr_block"].split("00::/56")[0]
        for number, (_, subnet) in enumerate(sorted(backend.get_default_subnets().items())):
            backend.associate_subnet_cidr_block(subnet.id, f"{prefix}{number:02x}::/64")
