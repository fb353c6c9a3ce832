"""look ENDPOINT [--region REGION]...: everything in the account that is not a default of it, as one JSON document.

It asks through boto3, as somebody would who knows nothing of `provision`. Give it the double's `direct` endpoint: asked
at the proxy it would be counted, logged, and shown what clients are shown.
"""

from __future__ import annotations

import argparse
import base64
import functools
import hashlib
import json
import sys
from typing import Any

import boto3
import botocore.config
import botocore.exceptions

REGIONS = ("eu-central-1", "us-east-1")


def tags(thing: dict[str, Any], key: str = "Tags") -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in sorted(thing.get(key, []), key=lambda tag: tag["Key"])}


def pages(client: Any, call: str, key: str, **arguments: Any) -> list[dict[str, Any]]:
    if client.can_paginate(call):
        return [entry for page in client.get_paginator(call).paginate(**arguments) for entry in page[key]]
    return list(getattr(client, call)(**arguments)[key])


def attribute(ec2: Any, instance: str, name: str, key: str) -> Any:
    return ec2.describe_instance_attribute(InstanceId=instance, Attribute=name)[key].get("Value")


def instance_of(ec2: Any, found: dict[str, Any]) -> dict[str, Any]:
    identity, metadata = found["InstanceId"], found.get("MetadataOptions", {})
    user_data = attribute(ec2, identity, "userData", "UserData")
    interface: dict[str, Any] = next(iter(found.get("NetworkInterfaces", [])), {})
    return {
        "id": identity,
        "state": found["State"]["Name"],
        "type": found["InstanceType"],
        "image": found["ImageId"],
        "architecture": found.get("Architecture"),
        "zone": found["Placement"]["AvailabilityZone"],
        "subnet": found.get("SubnetId"),
        "vpc": found.get("VpcId"),
        "public_ip": found.get("PublicIpAddress"),
        "private_ip": found.get("PrivateIpAddress"),
        "ipv6": sorted(entry["Ipv6Address"] for entry in interface.get("Ipv6Addresses", [])),
        "key": found.get("KeyName"),
        "groups": sorted(group["GroupId"] for group in found.get("SecurityGroups", [])),
        "profile": found.get("IamInstanceProfile", {}).get("Arn"),
        "market": found.get("InstanceLifecycle", "on-demand"),
        "client_token": found.get("ClientToken"),
        "metadata": {
            "tokens": metadata.get("HttpTokens"),
            "hop_limit": metadata.get("HttpPutResponseHopLimit"),
            "endpoint": metadata.get("HttpEndpoint"),
            "tags": metadata.get("InstanceMetadataTags"),
        },
        "user_data_sha256": hashlib.sha256(base64.b64decode(user_data)).hexdigest() if user_data else None,
        "shutdown": attribute(ec2, identity, "instanceInitiatedShutdownBehavior", "InstanceInitiatedShutdownBehavior"),
        "termination_protection": attribute(ec2, identity, "disableApiTermination", "DisableApiTermination"),
        "root_device": found.get("RootDeviceName"),
        "devices": {
            device["DeviceName"]: {
                "volume": device["Ebs"]["VolumeId"],
                "delete_on_termination": device["Ebs"]["DeleteOnTermination"],
            }
            for device in sorted(found.get("BlockDeviceMappings", []), key=lambda device: device["DeviceName"])
        },
        "tags": tags(found),
    }


def instances(ec2: Any) -> list[dict[str, Any]]:
    reservations = pages(ec2, "describe_instances", "Reservations")
    found = [instance_of(ec2, instance) for entry in reservations for instance in entry["Instances"]]
    credits = {
        entry["InstanceId"]: entry["CpuCredits"]
        for entry in pages(ec2, "describe_instance_credit_specifications", "InstanceCreditSpecifications")
    }
    return [{**instance, "cpu_credits": credits.get(instance["id"])} for instance in found]


def volume_of(found: dict[str, Any]) -> dict[str, Any]:
    attachment = next(iter(found.get("Attachments", [])), None)
    return {
        "id": found["VolumeId"],
        "state": found["State"],
        "size_gib": found["Size"],
        "type": found.get("VolumeType"),
        "iops": found.get("Iops"),
        "throughput": found.get("Throughput"),
        "encrypted": found["Encrypted"],
        "zone": found["AvailabilityZone"],
        "instance": attachment and attachment["InstanceId"],
        "device": attachment and attachment["Device"],
        "delete_on_termination": attachment and attachment.get("DeleteOnTermination", False),
        "tags": tags(found),
    }


def address_of(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": found["AllocationId"],
        "ip": found["PublicIp"],
        "association": found.get("AssociationId") or None,
        "instance": found.get("InstanceId") or None,
        "interface": found.get("NetworkInterfaceId") or None,
        "tags": tags(found),
    }


def rules_of(permissions: list[dict[str, Any]]) -> list[str]:
    """One line a rule: `tcp 443 0.0.0.0/0`, `udp 443 ::/0`, `all all sg-…`, `tcp 8000-8010 10.0.0.0/8`."""
    found = []
    for rule in permissions:
        protocol = "all" if rule["IpProtocol"] == "-1" else rule["IpProtocol"]
        first, last = rule.get("FromPort"), rule.get("ToPort")
        ports = "all" if first is None or first == -1 else str(first) if first == last else f"{first}-{last}"
        peers = [entry["CidrIp"] for entry in rule.get("IpRanges", [])]
        peers += [entry["CidrIpv6"] for entry in rule.get("Ipv6Ranges", [])]
        peers += [entry["GroupId"] for entry in rule.get("UserIdGroupPairs", [])]
        peers += [entry["PrefixListId"] for entry in rule.get("PrefixListIds", [])]
        found += [f"{protocol} {ports} {peer}" for peer in peers]
    return sorted(found)


def descriptions_of(permissions: list[dict[str, Any]]) -> list[str]:
    entries = [entry for rule in permissions for kind in ("IpRanges", "Ipv6Ranges") for entry in rule.get(kind, [])]
    return sorted({entry["Description"] for entry in entries if entry.get("Description")})


def group_of(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": found["GroupId"],
        "name": found["GroupName"],
        "description": found["Description"],
        "vpc": found.get("VpcId"),
        "in": rules_of(found.get("IpPermissions", [])),
        "in_descriptions": descriptions_of(found.get("IpPermissions", [])),
        "out": rules_of(found.get("IpPermissionsEgress", [])),
        "tags": tags(found),
    }


def key_of(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": found["KeyPairId"],
        "name": found["KeyName"],
        "fingerprint": found.get("KeyFingerprint"),
        "tags": tags(found),
    }


def snapshot_of(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": found["SnapshotId"],
        "volume": found.get("VolumeId"),
        "state": found["State"],
        "size_gib": found.get("VolumeSize"),
        "encrypted": found.get("Encrypted"),
        "description": found.get("Description"),
        "tags": tags(found),
    }


def region(session: boto3.Session, endpoint: str, name: str) -> dict[str, Any]:
    config = botocore.config.Config(retries={"total_max_attempts": 1}, region_name=name)
    ec2 = session.client("ec2", endpoint_url=endpoint, config=config)
    groups = [
        found for found in pages(ec2, "describe_security_groups", "SecurityGroups") if found["GroupName"] != "default"
    ]
    interfaces = pages(ec2, "describe_network_interfaces", "NetworkInterfaces")
    things = {
        "instances": instances(ec2),
        "volumes": [volume_of(found) for found in pages(ec2, "describe_volumes", "Volumes")],
        "addresses": [address_of(found) for found in pages(ec2, "describe_addresses", "Addresses")],
        "security_groups": [group_of(found) for found in groups],
        "keys": [key_of(found) for found in pages(ec2, "describe_key_pairs", "KeyPairs")],
        "snapshots": [snapshot_of(found) for found in pages(ec2, "describe_snapshots", "Snapshots", OwnerIds=["self"])],
        "images": [
            {"id": found["ImageId"], "name": found.get("Name"), "tags": tags(found)}
            for found in pages(ec2, "describe_images", "Images", Owners=["self"])
        ],
        "interfaces": [
            {
                "id": found["NetworkInterfaceId"],
                "state": found["Status"],
                "groups": sorted(group["GroupId"] for group in found["Groups"]),
                "tags": tags(found, "TagSet"),
            }
            for found in interfaces
        ],
    }
    return {kind: sorted(found, key=lambda thing: str(thing["id"])) for kind, found in things.items()}


def zones(session: boto3.Session, endpoint: str) -> list[dict[str, Any]]:
    route53 = session.client("route53", endpoint_url=endpoint, region_name="us-east-1")
    found = []
    for zone in pages(route53, "list_hosted_zones", "HostedZones"):
        sets = pages(route53, "list_resource_record_sets", "ResourceRecordSets", HostedZoneId=zone["Id"])
        records = [
            {
                "name": record["Name"],
                "type": record["Type"],
                "ttl": record.get("TTL"),
                "values": sorted(value["Value"] for value in record.get("ResourceRecords", [])),
            }
            for record in sets
            if not (record["Type"] in ("NS", "SOA") and record["Name"].strip(".") == zone["Name"].strip("."))
        ]
        records.sort(key=lambda record: (record["name"], record["type"]))
        found.append({"id": zone["Id"].rpartition("/")[2], "name": zone["Name"], "records": records})
    return sorted(found, key=lambda zone: str(zone["name"]))


@functools.cache
def session_of_somebody() -> boto3.Session:
    """Made once: it reads the descriptions of the services from disk."""
    return boto3.Session(aws_access_key_id="AKIALOOKFROMOUTSIDE", aws_secret_access_key="look")


def look(endpoint: str, regions: tuple[str, ...] | list[str] = REGIONS) -> dict[str, Any]:
    """Everything there is, by region; DNS has none."""
    session = session_of_somebody()
    return {
        "regions": {name: region(session, endpoint, name) for name in regions},
        "zones": zones(session, endpoint),
    }


def main() -> None:
    parse = argparse.ArgumentParser(prog="look", description=__doc__.partition("\n")[0].partition(": ")[2])
    parse.add_argument("endpoint", help="the double's `direct`; `-`: one a line on standard input, answered with a line each")
    parse.add_argument("--region", action="append", help=f"default: {' and '.join(REGIONS)}")
    args = parse.parse_args()
    regions = args.region or REGIONS
    if args.endpoint != "-":
        print(json.dumps(look(args.endpoint, regions), indent=1))
        return
    for line in sys.stdin:
        print(json.dumps(look(line.strip(), regions)), flush=True)


if __name__ == "__main__":
    main()
