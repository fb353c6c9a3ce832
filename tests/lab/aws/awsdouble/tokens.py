"""Client tokens: the same call twice makes one thing; the same token with other parameters is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.ec2.responses.elastic_block_store import ElasticBlockStore
from moto.ec2.responses.instances import InstanceResponse

from .account import LOCK
from .patch import around, refuse

# Parameters that may differ between two calls with one token.
ASIDE = {"Action", "Version", "ClientToken", "DryRun"}


def once(original: Callable[[Any], Any], response: Any) -> Any:
    """Makes the call, or gives what it gave when it was made first with this token."""
    token = response._get_param("ClientToken")
    with LOCK:
        if not token:
            return original(response)
        seen = response.ec2_backend.__dict__.setdefault("_client_tokens", {})
        call = (original.__name__, token)
        parameters = {name: value for name, value in response.data.items() if name not in ASIDE}
        if call in seen:
            if seen[call][0] != parameters:
                raise refuse(
                    "IdempotentParameterMismatch",
                    "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
                )
            return seen[call][1]
        result = original(response)
        seen[call] = (parameters, result)
        return result


@around(InstanceResponse, "run_instances")
def run_instances(original: Callable[[Any], Any], self: Any) -> Any:
    return once(original, self)


@around(ElasticBlockStore, "create_volume")
def create_volume(original: Callable[[Any], Any], self: Any) -> Any:
    return once(original, self)
