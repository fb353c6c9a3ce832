"""Rules that say which calls go wrong, and how."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Protocol

PLAIN = {"throttle", "error-500", "garble", "reset", "lose", "hold-before", "hold-after"}
KEYS = {"service", "action", "nth", "times", "do"}


class Call(Protocol):
    """What a rule asks of a call."""

    service: str
    action: str

    @property
    def changes(self) -> bool: ...


@dataclass
class Rule:
    """One rule. It counts the calls that it is about, and takes those from the `nth` on, `times` of them."""

    do: str
    service: str = "*"
    action: str = "*"
    nth: int = 1
    times: int | None = 1
    seen: int = 0

    @classmethod
    def parse(cls, given: Any, more: frozenset[str] = frozenset()) -> Rule:
        """Reads a rule; raises ValueError for one that would silently do nothing."""
        if not isinstance(given, dict) or (unknown := set(given) - KEYS):
            raise ValueError(f"a rule is an object of {sorted(KEYS)}" + (f", not {sorted(unknown)}" if given else ""))
        do = str(given.get("do", ""))
        word, _, rest = do.partition(":")
        if word == "refuse":
            if not rest:
                raise ValueError("refuse needs a code: refuse:CODE:message")
        elif word == "hide":
            float(rest)
        elif do not in PLAIN | more:
            raise ValueError(f"{do!r} is none of {sorted(PLAIN | more)}, refuse:CODE:message, hide:SECONDS")
        nth = given.get("nth", "every" if "times" in given else 1)
        every = nth == "every"
        if not every and (not isinstance(nth, int) or nth < 1):
            raise ValueError('nth is a number from 1, or "every"')
        times = given.get("times", None if every else 1)
        if times is not None and (not isinstance(times, int) or times < 1):
            raise ValueError("times is a number from 1")
        return cls(do, given.get("service", "*"), given.get("action", "*"), 1 if every else nth, times)

    def about(self, call: Call) -> bool:
        if self.service not in ("*", call.service):
            return False
        return self.action in ("*", call.action) or (self.action == "changes" and call.changes)

    def takes(self, call: Call) -> bool:
        """Whether this very call goes wrong; counts it."""
        if not self.about(call):
            return False
        self.seen += 1
        return self.seen >= self.nth and (self.times is None or self.seen < self.nth + self.times)


class Rules:
    """The rules in force. The first one that takes a call decides; all of them count it."""

    def __init__(self, more: frozenset[str] = frozenset()) -> None:
        """`more` are the plain faults that one double has beside those of all."""
        self._more = more
        self._lock = threading.Lock()
        self._rules: list[Rule] = []

    def put(self, given: Any) -> None:
        """Replaces them; raises ValueError."""
        if not isinstance(given, list):
            raise ValueError("the rules are a list")
        rules = [Rule.parse(rule, self._more) for rule in given]
        with self._lock:
            self._rules = rules

    def fault(self, call: Call) -> str | None:
        """What is done to this call, if anything."""
        with self._lock:
            taken = [rule.do for rule in self._rules if rule.takes(call)]
        return taken[0] if taken else None
