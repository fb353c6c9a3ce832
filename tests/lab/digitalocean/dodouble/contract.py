"""The vendor's own document: every request and every answer is held to it.

The document's schemas say what must be there and of which kind; what they leave open although the API does not (keys that
nobody knows, bodies that need one of several forms) is checked here too, see `strict`.
"""

from __future__ import annotations

import functools
import json
import re
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openapi_schema_validator import OAS30ReadValidator, OAS30WriteValidator
from referencing import Registry
from referencing.jsonschema import DRAFT4

FILE = Path(__file__).resolve().parent.parent / "openapi.json"
HOME = "urn:digitalocean"
# Keys of which a request must name one form: what `anyOf` with a discriminator means and validators do not read.
FORMS = {
    ("reservedIPsActions_post", "assign"): {"droplet_id"},
    ("dropletActions_post", "resize"): {"size"},
    ("dropletActions_post", "rename"): {"name"},
    ("dropletActions_post", "rebuild"): {"image"},
    ("volumeActions_post_byId", "attach"): {"droplet_id"},
    ("volumeActions_post_byId", "detach"): {"droplet_id"},
    ("volumeActions_post_byId", "resize"): {"size_gigabytes"},
    ("domains_create_record", "A"): {"name", "data"},
    ("domains_create_record", "AAAA"): {"name", "data"},
    ("domains_create_record", "TXT"): {"name", "data"},
}
# The body may be left out, says the document; the API says no.
NEEDS_BODY = {"POST", "PUT", "PATCH"}


@dataclass
class Operation:
    """One operation of the document and what its path held."""

    name: str
    method: str
    path: str
    document: dict[str, Any]
    parameters: dict[str, str] = field(default_factory=dict)


class Contract:
    """The document, with its schemas ready for use."""

    def __init__(self) -> None:
        self.document = json.loads(FILE.read_text())
        resource = DRAFT4.create_resource(self.document)
        self._registry: Registry[Any] = Registry().with_resource(HOME, resource)
        self._routes: list[tuple[str, re.Pattern[str], str, str]] = []
        for path, methods in self.document["paths"].items():
            pattern = re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path)) + "$")
            for method in methods:
                if method in ("get", "post", "put", "patch", "delete"):
                    self._routes.append((method.upper(), pattern, path, method))
        # The most exact path first.
        self._routes.sort(key=lambda route: route[2].count("{"))

    def operation(self, method: str, target: str) -> Operation | None:
        """What an HTTP request asks for; nothing when the document does not know it."""
        path = target.partition("?")[0]
        for verb, pattern, template, key in self._routes:
            if verb == method and (found := pattern.match(path)):
                document = self.document["paths"][template][key]
                values = {name: urllib.parse.unquote(value) for name, value in found.groupdict().items()}
                return Operation(document["operationId"], method, template, document, values)
        return None

    def resolve(self, node: Any) -> Any:
        while isinstance(node, dict) and "$ref" in node:
            found: Any = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                found = found[part.replace("~1", "/").replace("~0", "~")]
            node = found
        return node

    @functools.lru_cache(maxsize=None)  # noqa: B019
    def _validator(self, pointer: str, write: bool) -> Any:
        kind = OAS30WriteValidator if write else OAS30ReadValidator
        return kind({"$ref": f"{HOME}#{pointer}"}, registry=self._registry)

    def _check(self, pointer: str, value: Any, write: bool) -> list[str]:
        errors = self._validator(pointer, write).iter_errors(value)
        found = []
        for error in errors:
            place = "/".join(str(part) for part in error.absolute_path)
            found.append(f"{place or 'body'}: {error.message[:300]}")
        return found

    @staticmethod
    def _pointer(*parts: str) -> str:
        return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)

    def request(self, operation: Operation, query: dict[str, str], headers: dict[str, str], body: bytes) -> list[str]:
        """What is wrong with a request."""
        wrong = []
        path_item = self.document["paths"][operation.path]
        known = {}
        path = ("paths", operation.path)
        for parts in (path, (*path, operation.method.lower())):
            holder = path_item if parts == path else operation.document
            for number, parameter in enumerate(holder.get("parameters", [])):
                where = parameter.get("$ref", "#" + self._pointer(*parts, "parameters", str(number)))
                parameter = self.resolve(parameter)
                known[(parameter["in"], parameter["name"])] = {**parameter, "where": where.removeprefix("#")}
        given = {("query", name): value for name, value in query.items()}
        given |= {("path", name): value for name, value in operation.parameters.items()}
        for key, value in given.items():
            if key not in known:
                wrong.append(f"the parameter {key[1]} is not known")
            elif text := self._parameter(known[key], value):
                wrong.append(text)
        wrong += [
            f"the parameter {name} is missing"
            for (place, name), parameter in known.items()
            if parameter.get("required") and place in ("query", "path") and (place, name) not in given
        ]
        if not headers.get("authorization", "").startswith("Bearer "):
            wrong.append("there is no bearer token")
        return wrong + self._body(operation, headers, body)

    def _parameter(self, parameter: dict[str, Any], value: str) -> str | None:
        schema = self.resolve(parameter.get("schema", {}))
        typed: Any = value
        # A number where a number or a word is meant.
        kinds = {self.resolve(one).get("type") for one in schema.get("anyOf", [schema])}
        if kinds == {"integer"} or (value.isdigit() and "integer" in kinds):
            if not re.fullmatch(r"-?\d+", value):
                return f"the parameter {parameter['name']} is no number: {value}"
            typed = int(value)
        if schema.get("type") == "boolean":
            typed = {"true": True, "false": False}.get(value, value)
        # Not as something that is written: the number of a key is one that only reads.
        for text in self._check(parameter["where"] + "/schema", typed, write=False):
            return f"the parameter {parameter['name']}: {text}"
        return None

    def _body(self, operation: Operation, headers: dict[str, str], body: bytes) -> list[str]:
        document = operation.document.get("requestBody")
        if document is None:
            return [f"{operation.name} takes no body"] if body else []
        where = self._pointer("paths", operation.path, operation.method.lower(), "requestBody")
        if "$ref" in document:
            where, document = document["$ref"].removeprefix("#"), self.resolve(document)
        if not body:
            needed = document.get("required") or operation.method in NEEDS_BODY
            return [f"{operation.name} needs a body"] if needed else []
        kind = headers.get("content-type", "").partition(";")[0]
        if kind not in document["content"]:
            return [f"the body is {kind or 'of no kind'}, not {', '.join(document['content'])}"]
        try:
            value = json.loads(body)
        except ValueError as error:
            return [f"the body is no JSON: {error}"]
        wrong = self._check(where + self._pointer("content", kind, "schema"), value, write=True)
        return wrong + self.strict(operation, document["content"][kind]["schema"], value)

    def strict(self, operation: Operation, schema: Any, value: Any) -> list[str]:
        """What the schemas let pass and the API does not, or would ignore."""
        wrong = [f"nobody knows the key {key}" for key in sorted(self._unknown(schema, value))]
        if isinstance(value, dict):
            form = FORMS.get((operation.name, str(value.get("type"))), set())
            wrong += [f"{value.get('type')} needs {key}" for key in sorted(form - set(value))]
        return wrong

    def _unknown(self, schema: Any, value: Any, place: str = "") -> set[str]:
        if isinstance(value, list):
            items = [self.resolve(part).get("items") for part in self._parts(schema)]
            items = [item for item in items if item]
            return set().union(*(self._unknown({"allOf": items}, one, place) for one in value)) if items else set()
        if not isinstance(value, dict):
            return set()
        properties: dict[str, list[Any]] = {}
        for part in self._parts(schema):
            for name, inner in part.get("properties", {}).items():
                properties.setdefault(name, []).append(inner)
        if not properties:
            return set()
        found = {f"{place}{name}" for name in value if name not in properties}
        for name, inner in value.items():
            if name in properties:
                found |= self._unknown({"allOf": properties[name]}, inner, f"{place}{name}.")
        return found

    def _parts(self, schema: Any) -> list[dict[str, Any]]:
        """A schema and all that it is put together from."""
        schema = self.resolve(schema)
        if not isinstance(schema, dict):
            return []
        found = [schema]
        for word in ("allOf", "anyOf", "oneOf"):
            for part in schema.get(word, []):
                found += self._parts(part)
        return found

    def response(self, operation: Operation, status: int, headers: dict[str, str], body: bytes) -> list[str]:
        """What is wrong with an answer of the double's own."""
        responses = operation.document["responses"]
        key = str(status) if str(status) in responses else "default" if status >= 400 else ""
        if not key:
            return [f"{operation.name} never answers with {status}"]
        where = self._pointer("paths", operation.path, operation.method.lower(), "responses", key)
        document = responses[key]
        if "$ref" in document:
            where, document = document["$ref"].removeprefix("#"), self.resolve(document)
        content = document.get("content", {})
        if not content:
            return [f"{operation.name} answers {status} without a body"] if body else []
        kind = headers.get("Content-Type", "").partition(";")[0]
        if kind not in content:
            return [f"the answer is {kind or 'of no kind'}, not {', '.join(content)}"]
        return self._check(where + self._pointer("content", kind, "schema"), json.loads(body), write=False)
