"""The switches of the account: what a test makes scarce, forbidden or absent."""

from __future__ import annotations

import dataclasses
import threading
from dataclasses import dataclass, field
from typing import Any

ACCOUNT = "123456789012"


@dataclass
class Account:
    """What an account is like. Set by `POST /lab/account`, read by the patches of moto and by the proxy."""

    # An account may have lost its default VPC; everything must then name a subnet.
    default_vpc: bool = True
    # Whether the default VPC and its subnets have IPv6 addresses to give.
    ipv6: bool = False
    # Zones in which no instance can be had.
    full_zones: list[str] = field(default_factory=list)
    # Whether there is spot capacity.
    spot_capacity: bool = True
    # Quotas: virtual processors of running instances (on demand), elastic addresses.
    vcpu_limit: int | None = None
    address_limit: int = 5
    # The session of the caller has run out.
    expired: bool = False

    def set(self, wanted: dict[str, Any]) -> None:
        """Changes what is named; raises ValueError for a name or type that is unknown."""
        known = {entry.name: getattr(Account(), entry.name) for entry in dataclasses.fields(self)}
        for name, value in wanted.items():
            if name not in known:
                raise ValueError(f"an account has no {name}; it has {', '.join(known)}")
            if known[name] is not None and type(value) is not type(known[name]):
                raise ValueError(f"{name} is a {type(known[name]).__name__}")
        with LOCK:
            for name, value in wanted.items():
                setattr(self, name, value)


# One at a time changes what calls depend on: moto answers calls on many threads and locks nothing.
LOCK = threading.RLock()
THE = Account()
