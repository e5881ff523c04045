"""The OpenAPI document, from the schemas that the views declare (core/views.py)."""

from functools import cache
from typing import Any, get_origin

from django.core.exceptions import ImproperlyConfigured
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema as SpectacularSchema
from drf_spectacular.plumbing import ResolvedComponent, get_view_model
from drf_spectacular.utils import OpenApiParameter
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from core.openapi_errors import REFUSALS, error_response

_JSON = "application/json"
_JSON_LINES = "application/x-ndjson"
_SEGMENT = {"type": "string", "pattern": "^[^/]+$"}  # of a path
# The same name with and without the prefix, and another content.
_DIFFERENT_FILES = ("/receipts/public-key.pem", "/receipts/public-keys.json")


class _Plain(GenerateJsonSchema):
    """Leaves out titles, which repeat the names, and empty defaults."""

    def field_title_should_be_set(self, schema) -> bool:
        return False

    def default_schema(self, schema) -> dict:
        described = super().default_schema(schema)
        if described.get("default", ...) in (None, []):
            del described["default"]
        return described


class DocumentGenerator(SchemaGenerator):
    """Caches the document, which takes a third of a second and never changes."""

    def get_schema(self, request=None, public=False):
        return _document(public)


@cache
def _document(public: bool) -> dict:
    return SchemaGenerator().get_schema(request=None, public=public)


class AutoSchema(SpectacularSchema):
    """Describes a view by its `bodies`, `queries`, `replies`, `errors`, `headers`, `samples`,
    `reply_examples` and docstrings.

    Bodies and queries are described as they are validated, replies as they are
    written. A reply is a model or another type, such types by media type, or those
    by status. The first line of a handler's docstring is the summary.
    """

    def get_operation(self, *args, **kwargs) -> dict | None:
        operation = super().get_operation(*args, **kwargs)
        if operation and getattr(self.view, "is_limited", True):
            for status, description in REFUSALS.items():
                reply = error_response(self.path, status, description)
                operation["responses"].setdefault(str(status), reply)
        return operation

    @property
    def _operation(self) -> str:
        return getattr(self.view, "action", None) or self.method.lower()

    def _declared(self, kind: str) -> Any:
        return getattr(self.view, kind, {}).get(self._operation)

    def get_operation_id(self) -> str:
        """Name a viewset's own actions after their functions, which are unique."""
        extra = {action.__name__ for action in getattr(self.view, "get_extra_actions", list)()}
        tokens = self._tokenize_path()
        basename = getattr(self.view, "basename", None)
        if self._operation not in extra or basename not in tokens:
            # Generators make functions of the ids: no dots, as in names of files.
            return super().get_operation_id().replace(".", "_")
        return "_".join([*tokens[: tokens.index(basename) + 1], self._operation])

    def get_tags(self) -> list[str]:
        return getattr(self.view, "tags", None) or super().get_tags()

    def get_summary(self) -> str | None:
        return self._docstring().partition("\n")[0] or super().get_summary()

    def get_description(self) -> str:
        return self._docstring().partition("\n")[2].strip()

    def _docstring(self) -> str:
        handler = getattr(self.view, self._operation, None)
        lines = (getattr(handler, "__doc__", None) or "").strip().splitlines()
        return "\n".join(line.strip() for line in lines)

    def _is_list_view(self, serializer=None) -> bool:
        """Return whether a reply is a list; a plain view has no serializer to ask."""
        if self._operation == "list":
            return True  # also if the rows are in an object
        if serializer is not None or not self._declared("replies"):
            return super()._is_list_view(serializer)
        return get_origin(self._declared("replies")) is list

    def _resolve_path_parameters(self, variables) -> list[dict]:
        parameters = super()._resolve_path_parameters(variables)
        for parameter in parameters:
            if parameter["name"].endswith("_id") and parameter["schema"] == _SEGMENT:
                parameter["schema"] = self._schema_of_id(parameter["name"])
        return parameters

    def _schema_of_id(self, name: str) -> dict:
        """Return the type of the view's own rows' ids; those of other rows are UUIDs."""
        model = get_view_model(self.view, emit_warnings=False)
        if model and name == getattr(self.view, "lookup_url_kwarg", None):
            schema = self._map_model_field(model._meta.pk, direction=None)
            return {name: value for name, value in schema.items() if name != "readOnly"}
        return {"type": "string", "format": "uuid"}

    def get_filter_backends(self) -> list:
        return []  # the query declares them

    def _get_paginator(self) -> None:
        return None

    def get_override_parameters(self) -> list:
        parameters = list(self._declared("headers") or [])
        if query := self._declared("queries"):
            document = self._json_schema(query, "validation")
            required = document.get("required", [])
            for name, schema in document["properties"].items():
                description = schema.pop("description", "")
                parameters.append(
                    OpenApiParameter(
                        name,
                        _without_null(schema),
                        required=name in required,
                        description=description,
                    )
                )
        return parameters

    def _get_request_body(self, direction="request"):
        body = self._declared("bodies")
        if body is None:
            return super()._get_request_body(direction) if self._is_undeclared else None
        by_type = body if _keys_are(str, body) else {_JSON: body}
        content = {kind: self._media(kind, model, "validation") for kind, model in by_type.items()}
        for kind, sample in (self._declared("samples") or {}).items():
            content[kind]["examples"] = {"example 1": {"value": sample}}
        optional = all(getattr(model, "body_is_optional", False) for model in by_type.values())
        return {"content": content, **({} if optional else {"required": True})}

    def _get_response_bodies(self, direction="response"):
        reply = self._declared("replies") or getattr(self.view, "reply", None)
        if reply is None or (self._is_undeclared and not hasattr(self.view, "reply")):
            return super()._get_response_bodies(direction)
        if self._operation == "list" and self._declared("replies") is None:
            reply = list[reply]
        by_status = reply if _keys_are(int, reply) else {200: reply}
        replies = {
            str(status): self._reply(model, status) | self._headers_of(status)
            for status, model in by_status.items()
        }
        errors = self._declared("errors") or {}
        return replies | {
            str(status): error_response(self.path, status, description)
            for status, description in errors.items()
        }

    def _reply(self, reply: Any, status: int) -> dict:
        if reply is None:
            return {"description": "Done"}
        by_type = reply if _keys_are(str, reply) else {_JSON: reply}
        content = {
            kind: self._media(kind, model, "serialization") for kind, model in by_type.items()
        }
        members = self._declared("reply_examples") or {}
        if _keys_are(int, members):
            members = members.get(status, {})
        for media in content.values():
            for example in media.get("examples", {}).values():
                example["value"] = {**example["value"], **members}
        return {"description": "", "content": content}

    def _headers_of(self, status: int) -> dict:
        headers = self._get_response_headers_for_code(str(status))
        return {"headers": headers} if headers else {}

    @property
    def _is_undeclared(self) -> bool:
        """Whether drf-spectacular has to derive the description from the view."""
        return not any(getattr(self.view, name, None) for name in ("bodies", "queries", "replies"))

    def _media(self, kind: str, model: Any, mode: str) -> dict:
        schema = self._reference(model, mode)
        is_model = isinstance(model, type) and issubclass(model, BaseModel)
        if kind == _JSON_LINES and is_model:  # OpenAPI 3.1 can describe lines only as one text
            lines = {"type": "array", "items": schema}
            schema = {"type": "string", "contentMediaType": kind, "contentSchema": lines}
        examples = self._json_schema(model, mode).get("examples", []) if is_model else []
        named = {f"example {n}": {"value": value} for n, value in enumerate(examples, start=1)}
        return {"schema": schema, **({"examples": named} if named else {})}

    def _reference(self, model: Any, mode: str) -> dict:
        """Return a reference to the component of a model, or the schema of another type."""
        schema = self._json_schema(model, mode)
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return schema
        name = model.__name__ + _suffix(mode)
        self._register(name, schema)
        return {"$ref": f"#/components/schemas/{name}"}

    def _json_schema(self, model: Any, mode: str) -> dict:
        schema, components = json_schema(model, mode)
        for name, inner in components.items():
            self._register(name, inner)
        return schema

    def _register(self, name: str, schema: dict) -> None:
        component = ResolvedComponent(
            name=name, type=ResolvedComponent.SCHEMA, object=name, schema=schema
        )
        if component in self.registry and self.registry[component].schema != schema:
            raise ImproperlyConfigured(f"Two schemas are named {name}.")
        self.registry.register_on_missing(component)


def json_schema(model: Any, mode: str) -> tuple[dict, dict[str, dict]]:
    """Return the schema of a model or type, and the components that it refers to, by name.

    `mode` is `validation` for what is sent, `serialization` for replies.
    """
    suffix = _suffix(mode)
    schema = TypeAdapter(model).json_schema(
        ref_template=f"#/components/schemas/{{model}}{suffix}",
        schema_generator=_Plain,
        mode=mode,
    )
    schema.pop("title", None)
    components = schema.pop("$defs", {})
    for inner in components.values():
        inner.pop("title", None)
    return schema, {name + suffix: inner for name, inner in components.items()}


def _without_null(schema: dict) -> dict:
    """Return the schema of a query parameter, which is absent or has a value."""
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) != 1:
        return schema
    rest = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    return {**options[0], **rest}


def _keys_are(kind: type, value: Any) -> bool:
    """Return whether the value is a dict whose keys are media types (str) or statuses (int)."""
    return isinstance(value, dict) and all(isinstance(key, kind) for key in value)


def _suffix(mode: str) -> str:
    return "Request" if mode == "validation" else ""


def with_one_spelling(result, generator, request, public):
    """Reduce each path to one of the spellings that are served.

    It has no trailing slash, and the prefix of the version if the path is served with both.
    """
    paths = {path.rstrip("/") or "/": item for path, item in result["paths"].items()}
    result["paths"] = {
        path: item
        for path, item in paths.items()
        if f"/api/v1{path}" not in paths or path in _DIFFERENT_FILES
    }
    return result
