"""Elastic addresses: quota, moving, and staying with an instance that stops and starts."""

from __future__ import annotations

from typing import Any

from moto.ec2.models.elastic_ip_addresses import ElasticAddressBackend
from moto.ec2.models.elastic_network_interfaces import NetworkInterface

from .account import THE
from .patch import around, refuse


def elastic_of(interface: Any) -> str | None:
    addresses = interface.ec2_backend.addresses
    return next((str(address.public_ip) for address in addresses if address.eni is interface), None)


@around(NetworkInterface, "check_auto_public_ip")
def check_auto_public_ip(original: Any, self: Any) -> None:
    if address := elastic_of(self):
        self.public_ip = address
    else:
        original(self)


@around(NetworkInterface, "stop")
def stop(original: Any, self: Any) -> None:
    original(self)
    self.public_ip = elastic_of(self)


@around(ElasticAddressBackend, "allocate_address")
def allocate_address(original: Any, self: Any, domain: str, *args: Any, **kwargs: Any) -> Any:
    if len(self.addresses) >= THE.address_limit:
        raise refuse("AddressLimitExceeded", "The maximum number of addresses has been reached.")
    return original(self, domain or "vpc", *args, **kwargs)


@around(ElasticAddressBackend, "associate_address")
def associate_address(original: Any, self: Any, instance: Any = None, *args: Any, **kwargs: Any) -> Any:
    """An address that another instance has moves only with reassociation; a second address displaces the first."""
    if instance is not None and instance.state not in ("running", "stopped", "stopping"):
        raise refuse("InvalidInstanceID", f"The instance '{instance.id}' is not in a valid state for this operation.")
    before = [address for address in self.addresses if instance is not None and address.instance is instance]
    holders = {address.allocation_id: address.eni for address in self.addresses}
    result = original(self, instance, *args, **kwargs)
    left = holders.get(result.allocation_id)
    if left is not None and left is not result.eni:
        left.public_ip = None
        if left.instance and left.instance.state == "running":
            left.check_auto_public_ip()
    for address in before:
        if address is not result:
            address.instance = address.eni = address.association_id = None
    return result


@around(ElasticAddressBackend, "disassociate_address")
def disassociate_address(
    original: Any, self: Any, address: str | None = None, association_id: str | None = None
) -> None:
    held = self.address_by_association([association_id]) if association_id else self.address_by_ip([address])
    interface, held[0].eni = held[0].eni, None
    original(self, address, association_id)
    if interface:
        interface.public_ip = None
        if interface.instance and interface.instance.state == "running":
            interface.check_auto_public_ip()


@around(ElasticAddressBackend, "release_address")
def release_address(original: Any, self: Any, address: str | None = None, allocation_id: str | None = None) -> Any:
    held = self.address_by_allocation([allocation_id]) if allocation_id else self.address_by_ip([address])
    if held[0].association_id:
        raise refuse("InvalidIPAddress.InUse", f"Address {held[0].public_ip} is in use.")
    return original(self, address, allocation_id)
