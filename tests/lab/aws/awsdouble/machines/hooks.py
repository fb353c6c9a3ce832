"""Where moto's model and the machines meet: what a call changes there, it changes here."""

from __future__ import annotations

import base64
import threading
from pathlib import Path
from typing import Any

from doubles.machines.folder import Folder
from doubles.machines.machine import Machine
from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.ec2.models.elastic_block_store import EBSBackend
from moto.ec2.models.elastic_ip_addresses import ElasticAddressBackend
from moto.ec2.models.instances import Instance, InstanceBackend, InstanceState, StateReason
from moto.ec2.models.security_groups import SecurityGroupBackend
from moto.ec2.responses.general import General
from moto.ec2.responses.instances import InstanceResponse

from ..account import LOCK
from ..patch import around, refuse
from .machine import OfInstance, node_of

PREFIX = "provision-aws-"


class Machines:
    """All machines of this double, and the folder that they live in."""

    def __init__(self, image: Path) -> None:
        self.place = Folder(PREFIX, image)
        self.folder = self.place.path
        self._machines: dict[str, OfInstance] = {}

    def of(self, instance: Any) -> OfInstance | None:
        return self._machines.get(instance.id)

    def all(self) -> list[OfInstance]:
        return list(self._machines.values())

    def launch(self, instance: Any) -> None:
        machine = OfInstance(instance, self.place)
        self._machines[instance.id] = machine
        for mapping in machine.volumes().values():
            self.place.ensure_disk(mapping.volume_id, mapping.size)
        machine.power_on(self.ended)

    def ended(self, machine: Machine) -> None:
        """The guest has shut itself down."""
        assert isinstance(machine, OfInstance)
        instance = machine.instance
        with LOCK:
            machine.power_off(gently=False)
            if instance.state != "running":
                return
            if instance.instance_initiated_shutdown_behavior == "terminate":
                instance.terminate()
            else:
                instance.stop()
                instance._state = InstanceState("stopped", 80)
            instance.state_reason = StateReason(
                "Client.InstanceInitiatedShutdown: Instance initiated shutdown", "Client.InstanceInitiatedShutdown"
            )

    def forget(self, instance: Any) -> None:
        machine = self._machines.pop(instance.id, None)
        if machine:
            machine.remove()

    def close(self) -> None:
        for machine in self.all():
            machine.power_off(gently=False)
        self.place.close()


def install(machines: Machines) -> None:
    """Puts the machines behind moto's instances."""

    def sync(backend: Any) -> None:
        for machine in machines.all():
            if machine.instance.ec2_backend is backend:
                machine.sync_forwards()

    @around(InstanceBackend, "run_instances")
    def run_instances(original: Any, self: Any, image_id: str, *args: Any, **kwargs: Any) -> Any:
        if any(image.architecture != "x86_64" for image in self.describe_images(ami_ids=[image_id])):
            raise refuse("Unsupported", "The lab's machines are x86_64.")
        with LOCK:
            reservation = original(self, image_id, *args, **kwargs)
            for instance in reservation.instances:
                machines.launch(instance)
            return reservation

    @around(Instance, "stop")
    def stop(original: Any, self: Any) -> Any:
        with LOCK:
            machine = machines.of(self)
            if self.state != "running" or machine is None or not machine.on:
                # An instance that is stopping or stopped stays so.
                return original(self) if self.state == "running" else self.instance_state
            previous = original(self)
            self._state = InstanceState("stopping", 64)

        def shut_down() -> None:
            machine.power_off(gently=not self.__dict__.pop("_force", False))
            with LOCK:
                if self.state == "stopping":
                    self._state = InstanceState("stopped", 80)

        threading.Thread(target=shut_down, name=f"stop {self.id}", daemon=True).start()
        return previous

    @around(InstanceResponse, "stop_instances")
    def stop_by_call(original: Any, self: Any) -> Any:
        for instance in self.ec2_backend.get_multi_instances_by_id(self._get_param("InstanceIds", [])):
            instance._force = bool(self._get_param("Force", False))
        return original(self)

    @around(Instance, "start")
    def start(original: Any, self: Any) -> Any:
        with LOCK:
            if self.state == "running":
                return self.instance_state
            previous = original(self)
            machine = machines.of(self)
            if machine:
                machine.power_on(machines.ended)
            return previous

    @around(Instance, "terminate")
    def terminate(original: Any, self: Any) -> Any:
        with LOCK:
            machine = machines.of(self)
            if machine:
                machine.power_off(gently=False)
            previous = original(self)
            machines.forget(self)
            return previous

    @around(Instance, "reboot")
    def reboot(original: Any, self: Any) -> Any:
        original(self)
        machine = machines.of(self)
        if machine:
            machine.reset()

    @around(EBSBackend, "attach_volume")
    def attach_volume(
        original: Any, self: Any, volume_id: str, instance_id: str, *args: Any, launching: bool = False, **kwargs: Any
    ) -> Any:
        with LOCK:
            attachment = original(self, volume_id, instance_id, *args, launching=launching, **kwargs)
            machine = machines.of(attachment.instance)
            if machine and not launching:
                machines.place.ensure_disk(volume_id, attachment.volume.size)
                machine.plug(machine.disk(volume_id))
            return attachment

    @around(EBSBackend, "detach_volume")
    def detach_volume(original: Any, self: Any, volume_id: str, *args: Any, **kwargs: Any) -> Any:
        with LOCK:
            attachment = original(self, volume_id, *args, **kwargs)
            machine = machines.of(attachment.instance)
            if machine:
                machine.unplug(node_of(volume_id))
            return attachment

    @around(EBSBackend, "delete_volume")
    def delete_volume(original: Any, self: Any, volume_id: str) -> Any:
        deleted = original(self, volume_id)
        machines.place.drop_disk(volume_id)
        return deleted

    @around(EBSBackend, "modify_volume")
    def modify_volume(original: Any, self: Any, volume_id: str, *args: Any, **kwargs: Any) -> Any:
        with LOCK:
            volume = original(self, volume_id, *args, **kwargs)
            machine = machines.of(volume.attachment.instance) if volume.attachment else None
            disk = machines.place.disk_of(volume_id)
            if disk.exists() and not (machine and machine.grow_volume(volume_id, volume.size)):
                machines.place.grow_disk(volume_id, volume.size)
            return volume

    for owner, names in (
        (
            SecurityGroupBackend,
            (
                "authorize_security_group_ingress",
                "revoke_security_group_ingress",
                "modify_security_group_rules",
            ),
        ),
        (ElasticAddressBackend, ("associate_address", "disassociate_address")),
        (InstanceBackend, ("modify_instance_security_groups",)),
    ):
        for name in names:

            @around(owner, name)
            def synced(original: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
                with LOCK:
                    result = original(self, *args, **kwargs)
                    sync(self)
                    return result

    @around(General, "get_console_output")
    def get_console_output(original: Any, self: Any) -> ActionResult:
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        machine = machines.of(instance)
        output = base64.b64encode(machine.console() if machine else b"").decode()
        return ActionResult({"InstanceId": instance.id, "Timestamp": utcnow(), "Output": output})
