"""The default network of a region, as the account's switches want it."""

from __future__ import annotations

from typing import Any

from moto.ec2.models import EC2Backend

from .account import THE
from .patch import around


@around(EC2Backend, "__init__")
def begin(original: Any, self: Any, region_name: str, account_id: str) -> None:
    original(self, region_name, account_id)
    align(self)


def align(backend: Any) -> None:
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
