"""Key pairs and instance profiles: what moto does under a name only, or does not show afterwards."""

from __future__ import annotations

from typing import Any

from moto.ec2.models.iam_instance_profile import IamInstanceProfileAssociationBackend
from moto.ec2.responses.key_pairs import KeyPairs

from .patch import around


@around(KeyPairs, "delete_key_pair")
def delete_key_pair(original: Any, self: Any) -> Any:
    """By its id too."""
    identity = self._get_param("KeyPairId")
    if identity and not self._get_param("KeyName"):
        named = [name for name, pair in self.ec2_backend.key_pairs.items() if pair.id == identity]
        self.ec2_backend.key_pairs.pop(next(iter(named), None), None)
    return original(self)


@around(IamInstanceProfileAssociationBackend, "replace_iam_instance_profile_association")
def replace_iam_instance_profile_association(original: Any, self: Any, association_id: str, *args: Any, **kwargs: Any) -> Any:
    """The instance shows its new profile."""
    association = original(self, association_id, *args, **kwargs)
    shown = {"Arn": association.iam_instance_profile.arn, "Id": association_id}
    self.modify_instance_attribute(association.instance_id, "iam_instance_profile", shown)
    return association
