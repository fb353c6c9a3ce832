"""Route 53: a batch of changes is checked against what there is, and applied whole or not at all."""

from __future__ import annotations

from typing import Any

from moto.route53.exceptions import Route53ClientError
from moto.route53.models import ChangeList, Route53Backend

from .account import LOCK
from .patch import added, around


def records(zone: Any) -> dict[tuple[str, str, str | None], Any]:
    return {(found.name.strip("."), found.type, found.set_identifier): found for found in zone.rrsets}


def values(record_set: dict[str, Any]) -> list[str]:
    given = record_set.get("ResourceRecords") or []
    return sorted(value["Value"] if isinstance(value, dict) else value for value in given)


@added(ChangeList, "has_insert_or_update")
def has_insert_or_update(self: Any, new_rr_set: dict[str, Any]) -> bool:
    """Moto asks a journal of all changes ever; what there is has been asked below."""
    return True


@around(Route53Backend, "change_resource_record_sets")
def change_resource_record_sets(original: Any, self: Any, zoneid: str, change_list: list[dict[str, Any]]) -> Any:
    with LOCK:
        there = records(self.get_hosted_zone(zoneid))
        wrong = []
        for change in change_list:
            wanted = change["ResourceRecordSet"]
            name = wanted["Name"].strip(".")
            key = (name, wanted["Type"], wanted.get("SetIdentifier"))
            label = f"resource record set [name='{name}.', type='{wanted['Type']}'"
            if change["Action"] == "CREATE":
                if key in there:
                    wrong.append(f"Tried to create {label}] but it already exists")
                there[key] = None
            elif change["Action"] == "DELETE":
                found = there.pop(key, None)
                if found is None:
                    wrong.append(f"Tried to delete {label}] but it was not found")
                elif values(wanted) != sorted(found.records) or str(wanted.get("TTL")) != str(found.ttl):
                    wrong.append(f"Tried to delete {label}] but the values provided do not match the current values")
        if wrong:
            raise Route53ClientError("InvalidChangeBatch", f"[{', '.join(wrong)}]")
        self.get_hosted_zone(zoneid).rr_changes.clear()
        return original(self, zoneid, change_list)
