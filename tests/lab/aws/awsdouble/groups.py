"""Security groups: one in use cannot be deleted, and one without a VPC cannot be made."""

from __future__ import annotations

from typing import Any

from moto.ec2.models.security_groups import SecurityGroupBackend

from .patch import around, refuse


def users(backend: Any, group_id: str) -> bool:
    """Whether an interface of an instance that is not gone, or a rule of another group, refers to the group."""
    for reservation in backend.reservations.values():
        for instance in reservation.instances:
            groups = [*instance.security_groups, *(group for nic in instance.nics.values() for group in nic.group_set)]
            if instance.state != "terminated" and any(group.id == group_id for group in groups):
                return True
    for interface in backend.enis.values():
        if interface.status == "in-use" and interface.instance is None:
            if any(group.id == group_id for group in interface.group_set):
                return True
    for group in backend.describe_security_groups():
        for rule in [*group.ingress_rules, *group.egress_rules]:
            if group.id != group_id and rule.source_group and rule.source_group.get("GroupId") == group_id:
                return True
    return False


@around(SecurityGroupBackend, "delete_security_group")
def delete_security_group(original: Any, self: Any, name: str | None = None, group_id: str | None = None) -> Any:
    group = self.get_security_group_by_name_or_id(group_id or name)
    if group is not None:
        # The default group goes with its VPC.
        if not group.is_default and users(self, group.id):
            raise refuse("DependencyViolation", f"resource {group.id} has a dependent object")
    return original(self, name, group_id)


@around(SecurityGroupBackend, "create_security_group")
def create_security_group(
    original: Any, self: Any, name: str, description: str, vpc_id: str | None = None, **kwargs: Any
) -> Any:
    if vpc_id is None and self.get_default_vpc() is None and not kwargs.get("force"):
        raise refuse("VPCIdNotSpecified", "No default VPC for this user")
    return original(self, name, description, vpc_id, **kwargs)
