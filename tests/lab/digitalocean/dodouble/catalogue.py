"""What the account can choose from: regions, sizes, images."""

from __future__ import annotations

from typing import Any

REGIONS = {"fra1": "Frankfurt 1", "nyc3": "New York 3", "ams3": "Amsterdam 3", "sfo2": "San Francisco 2"}
# Regions that take no new Droplets.
FULL = {"sfo2"}
# slug: memory (MB), processors, disk (GB), transfer (TB), price a month, regions
SIZES: dict[str, tuple[int, int, int, float, float, list[str]]] = {
    "s-1vcpu-512mb-10gb": (512, 1, 10, 0.5, 4.0, ["nyc3", "ams3"]),
    "s-1vcpu-1gb": (1024, 1, 25, 1.0, 6.0, ["fra1", "nyc3", "ams3"]),
    "s-1vcpu-2gb": (2048, 1, 50, 2.0, 12.0, ["fra1", "nyc3", "ams3"]),
    "s-2vcpu-2gb": (2048, 2, 60, 3.0, 18.0, ["fra1", "nyc3"]),
    "s-2vcpu-4gb": (4096, 2, 80, 4.0, 24.0, ["fra1", "nyc3"]),
    "s-4vcpu-8gb": (8192, 4, 160, 5.0, 48.0, ["fra1", "nyc3"]),
    "c-2": (4096, 2, 25, 4.0, 42.0, ["fra1"]),
    "g-retired": (8192, 2, 25, 4.0, 63.0, []),
}
UNAVAILABLE = {"g-retired"}
# slug: the number of the build before the newest, distribution, name
IMAGES = {
    "debian-13-x64": (195_000_001, "Debian", "13 x64"),
    "debian-12-x64": (195_000_101, "Debian", "12 x64"),
    "ubuntu-24-04-x64": (195_000_201, "Ubuntu", "24.04 (LTS) x64"),
    "ubuntu-22-04-x64": (195_000_301, "Ubuntu", "22.04 (LTS) x64"),
}
# An image of the user's own, in one region.
OWN = {"id": 7_000_001, "name": "shop-golden", "distribution": "Debian", "regions": ["fra1"], "min_disk_size": 60}


def region(slug: str) -> dict[str, Any]:
    return {
        "name": REGIONS[slug],
        "slug": slug,
        "features": ["backups", "ipv6", "metadata", "install_agent", "storage", "image_transfer"],
        "available": slug not in FULL,
        "sizes": [name for name, size in SIZES.items() if slug in size[5]],
    }


def size(slug: str) -> dict[str, Any]:
    memory, vcpus, disk, transfer, price, regions = SIZES[slug]
    return {
        "slug": slug,
        "memory": memory,
        "vcpus": vcpus,
        "disk": disk,
        "transfer": transfer,
        "price_monthly": price,
        # As the API has it: a float that is nearly what is meant.
        "price_hourly": price / 672.0000001,
        "regions": regions,
        "available": slug not in UNAVAILABLE,
        "description": "Basic",
    }


def image(slug: str, newer: bool) -> dict[str, Any]:
    number, distribution, name = IMAGES[slug]
    return {
        "id": number + (1 if newer else 0),
        "name": name,
        "type": "base",
        "distribution": distribution,
        "slug": slug,
        "public": True,
        "regions": list(REGIONS),
        "created_at": "2026-11-01T10:00:00Z" if newer else "2026-08-01T10:00:00Z",
        "min_disk_size": 7,
        "size_gigabytes": 1.2,
        "description": f"{distribution} {name}",
        "tags": [],
        "status": "available",
        "error_message": "",
    }


def own_image() -> dict[str, Any]:
    return {
        **OWN,
        "type": "custom",
        "slug": None,
        "public": False,
        "created_at": "2026-08-01T10:00:00Z",
        "size_gigabytes": 2.5,
        "description": "",
        "tags": [],
        "status": "available",
        "error_message": "",
    }
