"""What all operations have: the account, the call that is being answered, lists in pages."""

from __future__ import annotations

from typing import Any

from ..contract import Operation
from ..world import World

Result = tuple[int, Any]


class Base:
    """Answers one call."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.query: dict[str, str] = {}
        self.path: dict[str, str] = {}
        self.body: Any = None
        self.operation: Operation

    def pages(self, name: str, things: list[Any]) -> Result:
        per_page = min(int(self.query.get("per_page", 20)), self.world.switches["page_limit"])
        page = int(self.query.get("page", 1))
        last = max(1, -(-len(things) // per_page))
        links: dict[str, Any] = {}
        if last > 1:
            # Where the vendor would be: whoever sends a token there gives it away.
            base = f"https://api.digitalocean.com{self.operation.path}"
            to = lambda number: f"{base}?page={number}&per_page={per_page}"  # noqa: E731
            pages = {"first": to(1), "last": to(last)}
            if page < last:
                pages["next"] = to(page + 1)
            if page > 1:
                pages["prev"] = to(page - 1)
            links = {"pages": pages}
        shown = things[(page - 1) * per_page : page * per_page]
        return 200, {name: shown, "links": links, "meta": {"total": len(things)}}

    def seen(self, what: str) -> bool:
        return not self.world.is_hidden(what)
