"""Projects."""

from __future__ import annotations

from typing import Any

from ..world import not_found, stamp
from .base import Base, Result


class Projects(Base):
    """Projects, in which things are shown."""

    def projects_list(self) -> Result:
        return self.pages("projects", list(self.world.projects.values()))

    def projects_list_resources(self) -> Result:
        number = self.path["project_id"]
        if number not in self.world.projects:
            raise not_found()
        urns = sorted(urn for urn, of in self.world.assigned.items() if of == number)
        return self.pages("resources", [self.shown_assigned(urn, "ok") for urn in urns])

    @staticmethod
    def shown_assigned(urn: str, status: str) -> dict[str, Any]:
        link = f"https://api.digitalocean.com/v2/{urn}"
        return {"urn": urn, "assigned_at": stamp(), "links": {"self": link}, "status": status}

    def projects_assign_resources(self) -> Result:
        number = self.path["project_id"]
        if number not in self.world.projects:
            raise not_found()
        shown = []
        for urn in self.body["resources"]:
            before = self.world.assigned.get(urn)
            self.world.assigned[urn] = number
            if (ip := urn.removeprefix("do:floatingip:")) in self.world.reserved:
                self.world.reserved[ip]["project_id"] = number
            status = "already_assigned" if before == number else "assigned"
            shown.append(self.shown_assigned(urn, status))
        return 200, {"resources": shown}
