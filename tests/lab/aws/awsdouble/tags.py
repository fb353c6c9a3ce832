"""Tags and key pairs: lists without what is gone, and calls by the id of a key pair."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.responses.general import General
from moto.ec2.responses.key_pairs import KeyPairs
from moto.ec2.responses.tags import TagResponse
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE

from .patch import added, around, refuse

# What EC2 calls it; moto has a word of its own.
EC2_PREFIX_TO_RESOURCE["eipalloc"] = "elastic-ip"


def there(backend: Any, identity: str) -> bool:
    """Whether what has these tags still is there; moto keeps the tags of what was deleted."""
    prefix = identity.split("-")[0]
    known: dict[str, Any] = {
        "vol": lambda: backend.volumes,
        "sg": lambda: {group.id for group in backend.describe_security_groups()},
        "eipalloc": lambda: {address.allocation_id for address in backend.addresses},
        "key": lambda: {pair.id for pair in backend.key_pairs.values()},
        "snap": lambda: backend.snapshots,
        "eni": lambda: backend.enis,
        "ami": lambda: backend.amis,
        "subnet": lambda: {subnet.id for subnet in backend.describe_subnets()},
        "vpc": lambda: backend.vpcs,
    }
    return prefix not in known or identity in known[prefix]()


@around(TagResponse, "describe_tags")
def describe_tags(original: Any, self: Any) -> ActionResult:
    by_key = {name[4:]: values for name, values in self._filters_from_querystring().items() if name.startswith("tag:")}
    found = [
        tag
        for tag in original(self).result["Tags"]
        if there(self.ec2_backend, tag["resource_id"])
        # A filter by key and value, which moto ignores.
        and all(tag["key"] == key and tag["value"] in values for key, values in by_key.items())
    ]
    return ActionResult({"Tags": found})


def pairs_by_id(response: Any) -> list[Any]:
    wanted = response._get_param("KeyPairIds", []) or [response._get_param("KeyPairId")]
    pairs = {pair.id: pair for pair in response.ec2_backend.key_pairs.values()}
    for identity in filter(None, wanted):
        if identity not in pairs:
            raise refuse("InvalidKeyPair.NotFound", f"The key pair '{identity}' does not exist")
    return [pairs[identity] for identity in filter(None, wanted)]


@around(KeyPairs, "describe_key_pairs")
def describe_key_pairs(original: Any, self: Any) -> Any:
    wanted = pairs_by_id(self)
    result = original(self)
    if wanted:
        result.result["KeyPairs"] = [pair for pair in result.result["KeyPairs"] if pair in wanted]
    return result


@around(KeyPairs, "delete_key_pair")
def delete_key_pair(original: Any, self: Any) -> Any:
    for pair in pairs_by_id(self):
        self.ec2_backend.delete_key_pair(pair.key_name)
        return ActionResult({"Return": True, "KeyPairId": pair.id})
    return original(self)


@added(General, "get_ebs_default_kms_key_id")
def get_ebs_default_kms_key_id(self: Any) -> ActionResult:
    return ActionResult({"KmsKeyId": self.ec2_backend.default_kms_key_id or "alias/aws/ebs"})
