"""Domains and their records."""

from __future__ import annotations

from typing import Any

from ..world import not_found, unprocessable
from .base import Base, Result


class Domains(Base):
    """Domains."""

    def domains_list(self) -> Result:
        shown = [{"name": name, "ttl": 1800, "zone_file": f"$ORIGIN {name}.\n"} for name in self.world.domains]
        return self.pages("domains", shown)

    def domains_create(self) -> Result:
        name = self.body["name"]
        if name in self.world.domains:
            raise unprocessable("domain already exists")
        self.world.domains[name] = {}
        for server in ("ns1", "ns2", "ns3"):
            self.add_record(name, {"type": "NS", "name": "@", "data": f"{server}.digitalocean.com"})
        return 201, {"domain": {"name": name, "ttl": None, "zone_file": None}}

    def records(self) -> dict[int, dict[str, Any]]:
        found = self.world.domains.get(self.path["domain_name"])
        if found is None:
            raise not_found()
        return found

    def add_record(self, domain: str, body: dict[str, Any]) -> dict[str, Any]:
        empty = {"priority": None, "port": None, "ttl": 1800, "weight": None, "flags": None, "tag": None}
        number = self.world.number()
        record = {"id": number, **empty, **body}
        if record["ttl"] < 30:
            raise unprocessable("TTL must be at least 30")
        self.world.domains[domain][number] = record
        return record

    def domains_list_records(self) -> Result:
        domain = self.path["domain_name"]
        records = list(self.records().values())
        if name := self.query.get("name"):
            full = lambda one: domain if one["name"] == "@" else f"{one['name']}.{domain}"  # noqa: E731
            records = [one for one in records if full(one) == name]
        if kind := self.query.get("type"):
            records = [one for one in records if one["type"] == kind]
        return self.pages("domain_records", records)

    def domains_create_record(self) -> Result:
        self.records()
        others = [one for one in self.records().values() if one["name"] == self.body["name"]]
        if any(one["type"] == "CNAME" for one in others) or (self.body["type"] == "CNAME" and others):
            raise unprocessable("CNAME records cannot share a name with other records")
        record = self.add_record(self.path["domain_name"], self.body)
        return 201, {"domain_record": record}

    def record(self) -> dict[str, Any]:
        found = self.records().get(int(self.path["domain_record_id"]))
        if found is None:
            raise not_found()
        return found

    def domains_patch_record(self) -> Result:
        record = self.record()
        record.update(self.body)
        return 200, {"domain_record": record}

    def domains_delete_record(self) -> Result:
        del self.records()[self.record()["id"]]
        return 204, None
