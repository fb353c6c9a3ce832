"""How moto is changed: in this process only, one method at a time, each with the original at hand."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from moto.ec2.exceptions import EC2ClientError


def around(owner: type, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorates what takes the place of `owner.name`; it is given the original as its first argument."""
    original = getattr(owner, name)

    def put(replacement: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def method(*args: Any, **kwargs: Any) -> Any:
            return replacement(original, *args, **kwargs)

        setattr(owner, name, method)
        return replacement

    return put


def added(owner: type, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorates a method that `owner` has not, or that is replaced without a use for the original."""

    def put(method: Callable[..., Any]) -> Callable[..., Any]:
        setattr(owner, name, method)
        return method

    return put


def refuse(code: str, message: str) -> EC2ClientError:
    """The error that EC2 answers with."""
    return EC2ClientError(code, message)
