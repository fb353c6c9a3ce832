"""Permissions of the one user that tests act as: the policy document is evaluated as AWS does, conditions included.

Moto's own authorisation knows neither resources of EC2 nor conditions, and denies what has one.
"""

from __future__ import annotations

import fnmatch
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from . import answers
from .account import ACCOUNT
from .answers import Answer
from .calls import ID, JSON, Call

USER = "provision-test"
KINDS = {
    "i": "instance",
    "vol": "volume",
    "sg": "security-group",
    "sgr": "security-group-rule",
    "eipalloc": "elastic-ip",
    "eni": "network-interface",
    "key": "key-pair",
    "snap": "snapshot",
    "subnet": "subnet",
    "vpc": "vpc",
    "ami": "image",
    "igw": "internet-gateway",
    "rtb": "route-table",
}
# What a call makes: it needs the permission for these too, before they have an id.
MAKES = {
    "RunInstances": ("instance", "volume", "network-interface"),
    "CreateVolume": ("volume",),
    "CreateSecurityGroup": ("security-group",),
    "AllocateAddress": ("elastic-ip",),
    "ImportKeyPair": ("key-pair",),
    "CreateKeyPair": ("key-pair",),
    "CreateSnapshot": ("snapshot",),
    "CreateImage": ("image", "snapshot"),
}


@dataclass(frozen=True)
class Need:
    """One permission that a call needs: an action on a resource, and what is known of both."""

    action: str
    resource: str
    context: dict[str, list[str]] = field(default_factory=dict)


def arn(kind: str, name: str, region: str) -> str:
    account = "" if kind in ("image", "snapshot") else ACCOUNT
    return f"arn:aws:ec2:{region}:{account}:{kind}/{name}"


def tags_of(identity: str, region: str) -> dict[str, str]:
    from moto.ec2.models import ec2_backends

    return dict(ec2_backends[ACCOUNT][region].tags.get(identity, {}))


def tag_specifications(parameters: dict[str, str]) -> dict[str, dict[str, str]]:
    """Tags by kind of resource, from TagSpecification.N.ResourceType and .Tag.M.Key and .Value."""
    found: dict[str, dict[str, str]] = {}
    for name, kind in parameters.items():
        if match := re.fullmatch(r"(TagSpecification\.\d+)\.ResourceType", name):
            found[kind] = tag_list(parameters, f"{match[1]}.Tag.")
    return found


def tag_list(parameters: dict[str, str], prefix: str) -> dict[str, str]:
    keys = (name for name in parameters if name.startswith(prefix) and name.endswith(".Key"))
    return {parameters[name]: parameters.get(name.removesuffix("Key") + "Value", "") for name in keys}


def context(base: dict[str, list[str]], resource: dict[str, str], request: dict[str, str]) -> dict[str, list[str]]:
    found = dict(base)
    found.update({f"aws:resourcetag/{key}".lower(): [value] for key, value in resource.items()})
    found.update({f"ec2:resourcetag/{key}".lower(): [value] for key, value in resource.items()})
    found.update({f"aws:requesttag/{key}".lower(): [value] for key, value in request.items()})
    if request:
        found["aws:tagkeys"] = list(request)
    return found


def stands_for(call: Call) -> list[str]:
    """What a call is about: of an association, what is associated, as permissions know only that."""
    from moto.ec2.models import ec2_backends

    backend = ec2_backends[ACCOUNT][call.region]
    associated = {address.association_id: address.allocation_id for address in backend.addresses}
    profiles = backend.iam_instance_profile_associations
    associated.update({profile.association_id: profile.instance.id for profile in profiles.values()})
    targets = [associated.get(target, target) for target in call.targets]
    association = associated.get(call.parameters.get("AssociationId", ""))
    return sorted({*targets, association} if association else set(targets))


def ec2_needs(call: Call) -> Iterator[Need]:
    base = {"aws:requestedregion": [call.region], "ec2:region": [call.region]}
    action = f"ec2:{call.action}"
    if not call.changes:
        # What reads has no permissions by resource.
        yield Need(action, "*", base)
        return
    specified = tag_specifications(call.parameters)
    request = tag_list(call.parameters, "Tag.") if call.action in ("CreateTags", "DeleteTags") else {}
    needs = []
    for target in stands_for(call):
        if ID.fullmatch(target):
            kind = KINDS.get(target.split("-")[0], "other")
            needs.append(
                Need(action, arn(kind, target, call.region), context(base, tags_of(target, call.region), request))
            )
        elif call.action != "ImportKeyPair":
            needs.append(
                Need(action, arn("key-pair", target, call.region), context(base, key_tags(target, call.region), {}))
            )
    for kind in MAKES.get(call.action, ()):
        name = call.parameters.get("KeyName", "*") if kind == "key-pair" else "*"
        made = arn(kind, name, call.region)
        needs.append(Need(action, made, context(base, {}, specified.get(kind, {}))))
        if kind in specified:
            origin = {**base, "ec2:createaction": [call.action]}
            needs.append(Need("ec2:CreateTags", made, context(origin, {}, specified[kind])))
    profile = call.parameters.get("IamInstanceProfile.Name") or call.parameters.get("IamInstanceProfile.Arn")
    if profile:
        passed = {**base, "iam:passedtoservice": ["ec2.amazonaws.com"]}
        needs.append(Need("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/{profile.rpartition('/')[2]}", passed))
    yield from needs or [Need(action, "*", base)]


def key_tags(name: str, region: str) -> dict[str, str]:
    from moto.ec2.models import ec2_backends

    pair = ec2_backends[ACCOUNT][region].key_pairs.get(name)
    return tags_of(pair.id, region) if pair else {}


def needs_of(call: Call) -> Iterator[Need]:
    """Everything that a call needs; all of it must be allowed."""
    base = {"aws:requestedregion": [call.region]}
    if call.service == "ec2":
        yield from ec2_needs(call)
    elif call.service == "route53" and call.zone:
        yield Need(f"route53:{call.action}", f"arn:aws:route53:::hostedzone/{call.zone}", base)
    elif call.service == "ssm":
        names = call.document.get("Names") or [call.document.get("Name") or call.document.get("Path") or "*"]
        for name in names:
            resource = f"arn:aws:ssm:{call.region}::parameter/{str(name).lstrip('/')}"
            yield Need(f"ssm:{call.action}", resource, base)
    elif call.service == "sts" and call.action == "AssumeRole":
        yield Need("sts:AssumeRole", call.parameters.get("RoleArn", "*"), base)
    elif (call.service, call.action) != ("sts", "GetCallerIdentity"):
        yield Need(f"{call.service}:{call.action}", "*", base)


def listed(value: Any) -> list[str]:
    return [
        str(entry) if not isinstance(entry, bool) else str(entry).lower()
        for entry in (value if isinstance(value, list) else [value])
    ]


def matches(patterns: Any, value: str) -> bool:
    return any(fnmatch.fnmatchcase(value.lower(), pattern.lower()) for pattern in listed(patterns))


COMPARISONS: dict[str, Callable[[str, list[str]], bool]] = {
    "stringequals": lambda value, wanted: value in wanted,
    "stringequalsignorecase": lambda value, wanted: value.lower() in [entry.lower() for entry in wanted],
    "stringlike": lambda value, wanted: any(fnmatch.fnmatchcase(value, entry) for entry in wanted),
    "arnlike": lambda value, wanted: any(fnmatch.fnmatchcase(value, entry) for entry in wanted),
    "arnequals": lambda value, wanted: value in wanted,
    "bool": lambda value, wanted: value.lower() in [entry.lower() for entry in wanted],
}


def holds(operator: str, key: str, wanted: list[str], known: dict[str, list[str]]) -> bool:
    """Whether one condition holds."""
    name, values = operator.lower(), known.get(key.lower())
    quantifier, _, rest = name.rpartition(":")
    optional, name = rest.endswith("ifexists"), rest.removesuffix("ifexists")
    if name == "null":
        return (values is None) == (wanted[0] == "true")
    negated = "not" in name
    comparison = COMPARISONS[name.replace("not", "")]
    if values is None:
        return optional or negated or quantifier == "forallvalues"
    results = [comparison(value, wanted) != negated for value in values]
    return all(results) if quantifier == "forallvalues" or negated else any(results)


def applies(statement: dict[str, Any], need: Need) -> bool:
    if "NotAction" in statement:
        if matches(statement["NotAction"], need.action):
            return False
    elif not matches(statement["Action"], need.action):
        return False
    if "NotResource" in statement:
        if matches(statement["NotResource"], need.resource):
            return False
    elif not matches(statement["Resource"], need.resource):
        return False
    return all(
        holds(operator, key, listed(wanted), need.context)
        for operator, conditions in statement.get("Condition", {}).items()
        for key, wanted in conditions.items()
    )


def check(document: Any) -> list[dict[str, Any]]:
    """The statements of a policy; raises ValueError for one that cannot be evaluated."""
    if not isinstance(document, dict) or document.get("Version") != "2012-10-17":
        raise ValueError("a policy is an object with the Version 2012-10-17")
    statements = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
    for statement in statements:
        if statement.get("Effect") not in ("Allow", "Deny"):
            raise ValueError(f"no Effect: {json.dumps(statement)}")
        if not {"Action", "NotAction"} & set(statement) or not {"Resource", "NotResource"} & set(statement):
            raise ValueError(f"no Action or no Resource: {json.dumps(statement)}")
        for operator in statement.get("Condition", {}):
            name = operator.lower().rpartition(":")[2].removesuffix("ifexists").replace("not", "")
            if name != "null" and name not in COMPARISONS:
                raise ValueError(f"the lab knows no condition {operator}")
    return statements


class Permissions:
    """The user, its key, and what it may."""

    def __init__(self) -> None:
        from moto.iam.models import iam_backends

        self._lock = threading.Lock()
        self._statements = check(
            {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
        )
        iam = iam_backends[ACCOUNT]["aws"]
        iam.create_user("us-east-1", USER)
        key = iam.create_access_key(USER)
        self.access_key, self.secret_key = key.access_key_id, key.secret_access_key

    def put(self, document: Any) -> None:
        statements = check(document)
        with self._lock:
            self._statements = statements

    def denies(self, call: Call) -> Answer | None:
        """The answer that the call gets instead of being made, if it is not permitted."""
        if not self.knows(call.access_key):
            if call.service == "ec2":
                return answers.refusal(
                    call, "AuthFailure", "AWS was not able to validate the provided access credentials"
                )
            code = "UnrecognizedClientException" if call.service in JSON else "InvalidClientTokenId"
            return answers.refusal(call, code, "The security token included in the request is invalid.", 403)
        with self._lock:
            statements = self._statements
        for need in needs_of(call):
            effects = {statement["Effect"] for statement in statements if applies(statement, need)}
            if effects != {"Allow"}:
                return self.refusal(call, need, "Deny" in effects)
        return None

    def knows(self, access_key: str | None) -> bool:
        """The user's key, or one of a role that it has assumed: those have the same permissions here."""
        from moto.sts.models import sts_backends

        return access_key == self.access_key or any(
            role.access_key_id == access_key for role in sts_backends[ACCOUNT]["aws"].assumed_roles
        )

    def refusal(self, call: Call, need: Need, explicit: bool) -> Answer:
        because = (
            "with an explicit deny in an identity-based policy"
            if explicit
            else f"because no identity-based policy allows the {need.action} action"
        )
        who = f"arn:aws:iam::{ACCOUNT}:user/{USER}"
        text = f"User: {who} is not authorized to perform: {need.action} on resource: {need.resource} {because}"
        if call.service == "ec2":
            return answers.refusal(
                call, "UnauthorizedOperation", f"You are not authorized to perform this operation. {text}."
            )
        return answers.refusal(
            call,
            "AccessDeniedException" if call.service in JSON else "AccessDenied",
            text,
            400 if call.service in JSON else 403,
        )
