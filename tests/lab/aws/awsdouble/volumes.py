"""Volumes: states that calls must respect, and growing in place."""

from __future__ import annotations

import time
from typing import Any

from moto.ec2.models.elastic_block_store import EBSBackend, VolumeAttachment, VolumeModification
from moto.ec2.responses.elastic_block_store import ElasticBlockStore

from .patch import around, refuse

# Seconds that a modification is `modifying`, and until it is `completed` and not `optimizing` any more.
MODIFYING, OPTIMIZING = 0.2, 1.0


@around(EBSBackend, "create_volume")
def create_volume(original: Any, self: Any, size: Any, zone_name: str, *args: Any, **kwargs: Any) -> Any:
    if size is not None and not 1 <= int(size) <= 65536:
        raise refuse("InvalidParameterValue", f"Invalid value '{size}' for size.")
    return original(self, size, zone_name, *args, **kwargs)


@around(EBSBackend, "attach_volume")
def attach_volume(
    original: Any,
    self: Any,
    volume_id: str,
    instance_id: str,
    device_path: str,
    delete_on_termination: bool = False,
    launching: bool = False,
) -> Any:
    volume, instance = self.get_volume(volume_id), self.get_instance(instance_id)
    if volume.attachment is not None:
        raise refuse("VolumeInUse", f"{volume_id} is already attached to an instance")
    if instance.state not in ("running", "stopped"):
        raise refuse("IncorrectState", f"Instance '{instance_id}' is not 'running'.")
    if volume.zone and volume.zone.name != instance.placement.zone:
        raise refuse(
            "InvalidVolume.ZoneMismatch",
            f"The volume '{volume_id}' is not in the same availability zone as instance '{instance_id}'",
        )
    if device_path in instance.block_device_mapping:
        raise refuse(
            "InvalidParameterValue",
            f"Invalid value '{device_path}' for unixDevice. Attachment point {device_path} is already in use",
        )
    return original(self, volume_id, instance_id, device_path, delete_on_termination)


@around(EBSBackend, "detach_volume")
def detach_volume(original: Any, self: Any, volume_id: str, instance_id: str, device_path: str) -> Any:
    volume = self.get_volume(volume_id)
    if volume.attachment is None:
        raise refuse("IncorrectState", f"Volume '{volume_id}' is in the 'available' state.")
    instance = volume.attachment.instance
    if instance_id and instance.id != instance_id:
        raise refuse(
            "InvalidAttachment.NotFound", f"The volume '{volume_id}' is not attached to instance '{instance_id}'"
        )
    return original(self, volume_id, instance.id, device_path or volume.attachment.device)


@around(ElasticBlockStore, "detach_volume")
def detach_by_call(original: Any, self: Any) -> Any:
    """What a person asks for; a machine that ends gives its root disk back without being asked."""
    volume = self.ec2_backend.get_volume(self._get_param("VolumeId"))
    attached = volume.attachment
    if attached and attached.device == attached.instance.root_device_name and attached.instance.state == "running":
        raise refuse(
            "OperationNotPermitted",
            f"Unable to detach root volume '{volume.id}' from instance '{attached.instance.id}'",
        )
    return original(self)


def delete_on_termination(attachment: Any) -> bool:
    mapping = attachment.instance.block_device_mapping.get(attachment.device)
    return bool(mapping and mapping.delete_on_termination)


VolumeAttachment.delete_on_termination = property(delete_on_termination)  # type: ignore[attr-defined]


def modification_state(modification: Any) -> str:
    age = time.monotonic() - modification.begun
    if age < MODIFYING:
        return "modifying"
    return "optimizing" if age < OPTIMIZING else "completed"


def progress(modification: Any) -> int:
    return min(100, int(100 * (time.monotonic() - modification.begun) / OPTIMIZING))


@around(VolumeModification, "__init__")
def begin_modification(original: Any, self: Any, volume: Any, *args: Any, **kwargs: Any) -> None:
    self.begun = time.monotonic()
    original(self, volume, *args, **kwargs)
    for name in ("size", "volume_type", "iops", "throughput"):
        for kind in ("original", "target"):
            if getattr(self, f"{kind}_{name}", None) is None:
                setattr(self, f"{kind}_{name}", getattr(volume, name))


VolumeModification.modification_state = property(modification_state)  # type: ignore[assignment,method-assign]
VolumeModification.progress = property(progress)  # type: ignore[assignment,method-assign]


@around(VolumeModification, "get_filter_value")
def modification_filter(original: Any, self: Any, filter_name: str, method_name: str | None = None) -> Any:
    return self.modification_state if filter_name == "modification-state" else original(self, filter_name)


@around(EBSBackend, "modify_volume")
def modify_volume(original: Any, self: Any, volume_id: str, target_size: Any = None, *args: Any, **kwargs: Any) -> Any:
    volume = self.get_volume(volume_id)
    if target_size is not None and int(target_size) < volume.size:
        raise refuse("InvalidParameterValue", f"New size cannot be smaller than existing size {volume.size}")
    if volume.modifications and volume.modifications[-1].modification_state != "completed":
        raise refuse(
            "IncorrectModificationState",
            f"Cannot modify volume {volume_id}: it is in the '{volume.modifications[-1].modification_state}' state",
        )
    modified = original(self, volume_id, int(target_size) if target_size is not None else None, *args, **kwargs)
    if volume.attachment:
        mapping = volume.attachment.instance.block_device_mapping.get(volume.attachment.device)
        if mapping:
            mapping.size = volume.size
    return modified


@around(EBSBackend, "describe_volumes_modifications")
def describe_volumes_modifications(original: Any, self: Any, volume_ids: Any = None, filters: Any = None) -> Any:
    """The latest of each volume, as AWS shows them."""
    found = original(self, volume_ids, filters)
    if volume_ids and not found:
        raise refuse("InvalidVolumeModification.NotFound", f"Modification for volume '{volume_ids[0]}' does not exist.")
    return list({modification.volume.id: modification for modification in found}.values())


@around(ElasticBlockStore, "describe_snapshots")
def describe_snapshots(original: Any, self: Any) -> Any:
    """Moto ignores the owners that are asked for, and images of vendors come with snapshots."""
    result = original(self)
    owners = set(self._get_param("OwnerIds", []))
    if owners:
        if "self" in owners:
            owners.add(self.current_account)
        result.result["Snapshots"] = [found for found in result.result["Snapshots"] if found.owner_id in owners]
    return result
