"""The Price List API: a small offer file in the shape of the real one, with entries that a careless filter trips over.

Prices in USD, on demand, of autumn 2025.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

REGIONS = {
    "eu-central-1": ("EU (Frankfurt)", "EUC1-"),
    "us-east-1": ("US East (N. Virginia)", ""),
}
# type: vCPU, memory, price per hour in each region
INSTANCES = {
    "t3.nano": (2, "0.5 GiB", "0.0060", "0.0052"),
    "t3.micro": (2, "1 GiB", "0.0120", "0.0104"),
    "t3.small": (2, "2 GiB", "0.0240", "0.0208"),
    "t3.medium": (2, "4 GiB", "0.0480", "0.0416"),
    "t3.large": (2, "8 GiB", "0.0960", "0.0832"),
    "t3.xlarge": (4, "16 GiB", "0.1920", "0.1664"),
    "t3.2xlarge": (8, "32 GiB", "0.3840", "0.3328"),
    "t4g.nano": (2, "0.5 GiB", "0.0048", "0.0042"),
    "t4g.micro": (2, "1 GiB", "0.0096", "0.0084"),
    "t4g.small": (2, "2 GiB", "0.0192", "0.0168"),
    "t4g.medium": (2, "4 GiB", "0.0384", "0.0336"),
    "t4g.large": (2, "8 GiB", "0.0768", "0.0672"),
    "t4g.xlarge": (4, "16 GiB", "0.1536", "0.1344"),
    "t4g.2xlarge": (8, "32 GiB", "0.3072", "0.2688"),
    "m7g.large": (2, "8 GiB", "0.0978", "0.0816"),
}
GP3 = {"eu-central-1": "0.0952", "us-east-1": "0.0800"}  # per GB and month
IPV4 = "0.0050"  # per hour, in use or idle


def entry(service: str, family: str, attributes: dict[str, str], unit: str, price: str, text: str) -> dict[str, Any]:
    sku = hashlib.sha256(json.dumps([service, family, attributes], sort_keys=True).encode()).hexdigest()[:16].upper()
    term, rate = "JRTCKXETXF", "6YS6EN2CT7"
    dimension = {
        "unit": unit,
        "endRange": "Inf",
        "description": f"${price} per {text}",
        "appliesTo": [],
        "rateCode": f"{sku}.{term}.{rate}",
        "beginRange": "0",
        "pricePerUnit": {"USD": f"{price}000000"},
    }
    offer = {
        "priceDimensions": {f"{sku}.{term}.{rate}": dimension},
        "sku": sku,
        "effectiveDate": "2025-10-01T00:00:00Z",
        "offerTermCode": term,
        "termAttributes": {},
    }
    return {
        "product": {"productFamily": family, "attributes": {"servicecode": service, **attributes}, "sku": sku},
        "serviceCode": service,
        "terms": {"OnDemand": {f"{sku}.{term}": offer}},
        "version": "20251021174245",
        "publicationDate": "2025-10-21T17:42:45Z",
    }


def offers() -> Iterator[dict[str, Any]]:
    for number, (region, (location, prefix)) in enumerate(REGIONS.items()):
        place = {"location": location, "locationType": "AWS Region", "regionCode": region}
        for kind, (cpus, memory, *prices) in INSTANCES.items():
            common = {
                **place,
                "instanceType": kind,
                "instanceFamily": "General purpose",
                "currentGeneration": "Yes",
                "vcpu": str(cpus),
                "memory": memory,
                "storage": "EBS only",
                "tenancy": "Shared",
                "licenseModel": "No License required",
                "marketoption": "OnDemand",
                "servicename": "Amazon Elastic Compute Cloud",
            }
            linux = {**common, "operatingSystem": "Linux", "preInstalledSw": "NA", "operation": "RunInstances"}
            used = {**linux, "capacitystatus": "Used", "usagetype": f"{prefix}BoxUsage:{kind}"}
            text = f"On Demand Linux {kind} Instance Hour"
            yield entry("AmazonEC2", "Compute Instance", used, "Hrs", prices[number], text)
            reserved = {"capacitystatus": "AllocatedCapacityReservation", "usagetype": f"{prefix}Reservation:{kind}"}
            yield entry("AmazonEC2", "Compute Instance", {**linux, **reserved}, "Hrs", "0.0000", f"Reservation {kind}")
            windows = {"operatingSystem": "Windows", "preInstalledSw": "NA", "operation": "RunInstances:0002"}
            more = f"{float(prices[number]) + 0.0184:.4f}"
            yield entry("AmazonEC2", "Compute Instance", {**used, **windows}, "Hrs", more, f"On Demand Windows {kind}")
        storage = {
            **place,
            "storageMedia": "SSD-backed",
            "volumeType": "General Purpose",
            "volumeApiName": "gp3",
            "usagetype": f"{prefix}EBS:VolumeUsage.gp3",
            "operation": "",
        }
        text = "GB-month of General Purpose (gp3) provisioned storage"
        yield entry("AmazonEC2", "Storage", storage, "GB-Mo", GP3[region], text)
        for usage, group in (("InUseAddress", "in-use"), ("IdleAddress", "idle")):
            address = {
                **place,
                "group": "VPCPublicIPv4Address",
                "groupDescription": f"Hourly charge for {group} Public IPv4 Addresses",
                "usagetype": f"{prefix}PublicIPv4:{usage}",
                "operation": "",
            }
            text = f"{group.capitalize()} public IPv4 address per hour"
            yield entry("AmazonVPC", "VpcPublicIPv4Address", address, "Hrs", IPV4, text)


OFFERS = list(offers())


def get_products(request: dict[str, Any]) -> dict[str, Any]:
    """Answers GetProducts; raises ValueError for what the API refuses."""
    service = request.get("ServiceCode")
    if service not in {offer["serviceCode"] for offer in OFFERS}:
        raise ValueError(f"invalid service code: {service}")
    found = []
    for offer in OFFERS:
        fields = {**offer["product"]["attributes"], "productFamily": offer["product"]["productFamily"]}
        wanted = request.get("Filters", [])
        if any(asked.get("Type") != "TERM_MATCH" for asked in wanted):
            raise ValueError("only TERM_MATCH is known")
        if offer["serviceCode"] == service and all(fields.get(asked["Field"]) == asked["Value"] for asked in wanted):
            found.append(json.dumps(offer))
    begin = int(request.get("NextToken") or 0)
    end = begin + min(int(request.get("MaxResults") or 100), 100)
    page: dict[str, Any] = {"FormatVersion": "aws_v1", "PriceList": found[begin:end]}
    if end < len(found):
        page["NextToken"] = str(end)
    return page
