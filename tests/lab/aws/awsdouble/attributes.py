"""Attributes of instances that moto drops, resets or changes when it must not: type, metadata, CPU credits, profile."""

from __future__ import annotations

from typing import Any

import moto.ec2.models.iam_instance_profile
import moto.ec2.responses.instances
from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.models.iam_instance_profile import IamInstanceProfileAssociationBackend
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.models.instances import InstanceBackend
from moto.ec2.responses.instances import InstanceResponse
from moto.iam.exceptions import NotFoundException

from .launching import type_of
from .patch import added, around, refuse


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
            raise refuse(
                "UnsupportedOperation", f"The instance '{instance.id}' is not a burstable performance instance."
            )
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
            raise refuse(
                "UnsupportedOperation", f"The instance '{instance.id}' is not a burstable performance instance."
            )
        instance.cpu_credits = wanted["CpuCredits"]
        done.append({"InstanceId": instance.id})
    return ActionResult(
        {"SuccessfulInstanceCreditSpecifications": done, "UnsuccessfulInstanceCreditSpecifications": []}
    )


@around(IamInstanceProfileAssociationBackend, "replace_iam_instance_profile_association")
def replace_iam_instance_profile_association(original: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
    association = original(self, *args, **kwargs)
    association.instance.iam_instance_profile = association.iam_instance_profile
    return association


def known_profile(original: Any) -> Any:
    """What finds a profile; EC2 refuses one that is not there in words of its own."""

    def find(*args: Any, **kwargs: Any) -> Any:
        try:
            return original(*args, **kwargs)
        except NotFoundException:
            name = kwargs.get("iam_instance_profile_name") or kwargs.get("iam_instance_profile_arn")
            kind = "name" if kwargs.get("iam_instance_profile_name") else "arn"
            raise refuse(
                "InvalidParameterValue",
                f"Value ({name}) for parameter iamInstanceProfile.{kind} is invalid."
                f" Invalid IAM Instance Profile {kind}",
            ) from None

    return find


for module in (moto.ec2.models.iam_instance_profile, moto.ec2.responses.instances):
    module.filter_iam_instance_profiles = known_profile(module.filter_iam_instance_profiles)  # type: ignore[attr-defined]
