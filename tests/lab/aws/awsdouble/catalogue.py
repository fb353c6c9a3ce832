"""The images that vendors publish, as DescribeImages and the public parameters of SSM show them.

Two dates each, so that a newer image can be told from the one that is pinned. Ids differ by region, as they do in AWS.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from moto.ec2.models.amis import Ami, AmiBackend
from moto.ssm.models import Parameter, ParameterDict

from .patch import around

DEBIAN = "136693071363"
CANONICAL = "099720109477"
DATES = (datetime.date(2025, 9, 2), datetime.date(2025, 10, 21))


@dataclass(frozen=True)
class Image:
    """One published image."""

    owner: str
    name: str
    architecture: str
    root_device: str
    size_gib: int
    date: datetime.date
    # Names of SSM's public parameters that hold this image's id.
    parameters: tuple[str, ...]

    def id(self, region: str) -> str:
        return "ami-0" + hashlib.sha256(f"{region} {self.name}".encode()).hexdigest()[:16]


def debian(release: str, arch: str, date: datetime.date, latest: bool) -> Image:
    serial = f"{date:%Y%m%d}-{date.toordinal() % 9000 + 1000}"
    prefix = f"/aws/service/debian/release/{release}"
    parameters = [f"{prefix}/{serial}/{arch}"] + [f"{prefix}/latest/{arch}"] * latest
    architecture = {"amd64": "x86_64"}.get(arch, arch)
    return Image(DEBIAN, f"debian-{release}-{arch}-{serial}", architecture, "/dev/xvda", 8, date, tuple(parameters))


def ubuntu(release: str, codename: str, disk: str, arch: str, date: datetime.date, latest: bool) -> Image:
    serial = f"{date:%Y%m%d}"
    storage = disk.removeprefix("hvm-ssd").removeprefix("-") or "gp2"
    parameters = []
    for product in (release, codename):
        prefix = f"/aws/service/canonical/ubuntu/server/{product}/stable"
        for version in (serial, "current") if latest else (serial,):
            parameters.append(f"{prefix}/{version}/{arch}/hvm/ebs-{storage}/ami-id")
    architecture = {"amd64": "x86_64"}.get(arch, arch)
    name = f"ubuntu/images/{disk}/ubuntu-{codename}-{release}-{arch}-server-{serial}"
    return Image(CANONICAL, name, architecture, "/dev/sda1", 8, date, tuple(parameters))


def images() -> Iterator[Image]:
    """Every image there is in a region."""
    for date in DATES:
        for arch in ("amd64", "arm64"):
            for release in ("12", "13"):
                yield debian(release, arch, date, date == DATES[-1])
            yield ubuntu("24.04", "noble", "hvm-ssd-gp3", arch, date, date == DATES[-1])
            yield ubuntu("22.04", "jammy", "hvm-ssd", arch, date, date == DATES[-1])


@around(AmiBackend, "__init__")
def publish_images(original: Any, self: Any) -> None:
    original(self)
    for image in images():
        identity = image.id(self.region_name)
        ami = Ami(
            self,
            identity,
            name=image.name,
            description=image.name,
            owner_id=image.owner,
            public=True,
            virtualization_type="hvm",
            architecture=image.architecture,
            root_device_name=image.root_device,
            root_device_type="ebs",
            hypervisor="xen",
            boot_mode="uefi-preferred" if image.architecture == "x86_64" else "uefi",
            image_location=f"{image.owner}/{image.name}",
            creation_date=datetime.datetime.combine(image.date, datetime.time(11, 30)),
            region_name=f"{self.region_name}a",
        )
        ami.root_size_gib = image.size_gib  # type: ignore[attr-defined]
        self.amis[identity] = ami


def root_mapping(ami: Any) -> list[dict[str, Any]]:
    """What DescribeImages shows of an image's root disk, and what an instance gets when nothing else is asked for."""
    return [
        {
            "DeviceName": ami.root_device_name,
            "Ebs": {
                "SnapshotId": ami.ebs_snapshot.id,
                "VolumeSize": getattr(ami, "root_size_gib", 8),
                "DeleteOnTermination": True,
                "VolumeType": "gp3",
                "Encrypted": False,
            },
        }
    ]


Ami.block_device_mappings = property(root_mapping)  # type: ignore[assignment,method-assign]


@around(ParameterDict, "__init__")
def publish_parameters(original: Any, self: Any, account_id: str, region_name: str) -> None:
    original(self, account_id, region_name)
    for image in images():
        for name in image.parameters:
            self.setdefault(name, []).append(
                Parameter(  # type: ignore[abstract]
                    account_id=account_id,
                    name=name,
                    value=image.id(region_name),
                    parameter_type="String",
                    description=None,
                    allowed_pattern=None,
                    keyid=None,
                    last_modified_date=datetime.datetime.combine(image.date, datetime.time(12)),
                    version=1,
                    data_type="aws:ec2:image",
                )
            )
