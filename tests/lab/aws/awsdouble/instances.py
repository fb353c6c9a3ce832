"""Instances that are there: which state takes which call, and filters that moto answers with a server error."""

from __future__ import annotations

from typing import Any

from moto.ec2.models.instances import Instance, InstanceBackend
from moto.ec2.utils import filter_dict_attribute_mapping

from .account import THE
from .launching import check_quota, free_zone
from .patch import around, refuse

filter_dict_attribute_mapping.update(
    {
        "client-token": "client_token",
        "instance-lifecycle": "lifecycle",
        "reservation-id": "reservation_id",
        "root-device-name": "root_device_name",
    }
)


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
                " Instance request. You can only stop Spot Instances associated with persistent requests.",
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
