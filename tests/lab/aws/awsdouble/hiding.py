"""Eventual consistency: what was made a moment ago is not there yet, for those who ask through the proxy."""

from __future__ import annotations

import re
import threading
import time
import xml.etree.ElementTree as ElementTree

from .answers import Answer, refusal
from .calls import ID, Call

MISSING = {
    "i": ("InvalidInstanceID.NotFound", "The instance ID '{}' does not exist"),
    "vol": ("InvalidVolume.NotFound", "The volume '{}' does not exist."),
    "sg": ("InvalidGroup.NotFound", "The security group '{}' does not exist"),
    "eipalloc": ("InvalidAllocationID.NotFound", "The allocation ID '{}' does not exist"),
    "snap": ("InvalidSnapshot.NotFound", "The snapshot '{}' does not exist."),
}
KEY = ("InvalidKeyPair.NotFound", "The key pair '{}' does not exist")
# The set of things in the answer to a call, and what in it names a thing.
LISTS = {
    "DescribeInstances": ("instancesSet", "instanceId"),
    "DescribeInstanceStatus": ("instanceStatusSet", "instanceId"),
    "DescribeVolumes": ("volumeSet", "volumeId"),
    "DescribeAddresses": ("addressesSet", "allocationId"),
    "DescribeSecurityGroups": ("securityGroupInfo", "groupId"),
    "DescribeSecurityGroupRules": ("securityGroupRuleSet", "groupId"),
    "DescribeKeyPairs": ("keySet", "keyName"),
    "DescribeSnapshots": ("snapshotSet", "snapshotId"),
    "DescribeTags": ("tagSet", "resourceId"),
}
# What the answer to a create names as made. RunInstances tells of its volumes too.
MAKING = re.compile(r"^(Run|Create(?!Tags)|Allocate|Import)")
MADE = {"i", "vol", "sg", "eipalloc", "snap"}


class Hidden:
    """What is hidden, until when."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}

    def clear(self) -> None:
        with self._lock:
            self._until.clear()

    def hide(self, call: Call, answer: Answer, seconds: float) -> None:
        """Hides what this call made."""
        if answer.status >= 300 or call.service != "ec2" or not MAKING.match(call.action):
            return
        given = set(call.targets)
        made = {found for found in ID.findall(answer.body.decode()) if found.split("-")[0] in MADE} - given
        if call.action == "ImportKeyPair":
            made = {call.parameters["KeyName"]}
        with self._lock:
            self._until.update(dict.fromkeys(made, time.monotonic() + seconds))

    def now(self) -> set[str]:
        with self._lock:
            self._until = {name: until for name, until in self._until.items() if until > time.monotonic()}
            return set(self._until)

    def refuses(self, call: Call) -> Answer | None:
        """The error that a call gets which names something hidden."""
        if call.service != "ec2" or not (hidden := self.now()):
            return None
        for target in call.targets:
            if target in hidden and not (call.action == "DescribeTags" or "Filter.1.Name" in call.parameters):
                code, text = MISSING.get(target.split("-")[0], KEY) if ID.fullmatch(target) else KEY
                return refusal(call, code, text.format(target))
        return None

    def strip(self, call: Call, answer: Answer) -> Answer:
        """The answer to a call that lists, without what is hidden."""
        names = LISTS.get(call.action)
        if call.service != "ec2" or names is None or answer.status != 200 or not (hidden := self.now()):
            return answer
        root = ElementTree.fromstring(answer.body)
        space = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""
        for found in list(root.iter(space + names[0])):
            for item in list(found):
                if item.findtext(space + names[1]) in hidden:
                    found.remove(item)
        for reservations in root.iter(space + "reservationSet"):
            for item in list(reservations):
                if not len(item.find(space + "instancesSet") or ()):
                    reservations.remove(item)
        ElementTree.register_namespace("", space.strip("{}"))
        return Answer(answer.status, ElementTree.tostring(root, xml_declaration=True, encoding="UTF-8"), answer.headers)
