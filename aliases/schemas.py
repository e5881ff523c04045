from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    Field,
    RootModel,
    ValidationError,
    WithJsonSchema,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from aliases.lockfile import FORMATS
from aliases.models import names_in
from core.schemas import FreeObject, Name255, Schema, Text, Text64, Timestamp, example, text
from usage.models import DEFAULT_PROFILE

MAX_ITEMS = 10_000  # of one call
# Parts of paths beside `/aliases/{alias}`.
_RESERVED = {"bind", "bulk_upsert", "export", "resolve"}


def _is_free(alias: str) -> str:
    if alias in _RESERVED:
        raise PydanticCustomError("reserved", "This name is part of a path and cannot be an alias")
    if alias.endswith("/"):
        raise PydanticCustomError("trailing_slash", "An alias cannot end with a slash")
    return alias


def _names_a_model(models: str) -> str:
    if not names_in(models):
        raise PydanticCustomError("no_model", "Input should name a model")
    return models


def _revision_or_time(value: str, handler: Any) -> int | datetime:
    if value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    try:
        # An unescaped plus sign of an offset arrives as a space.
        return handler(value.strip().replace(" ", "+"))
    except ValidationError:
        raise PydanticCustomError(
            "datetime_parsing", "Input should be a revision or an ISO 8601 time"
        ) from None


AliasName = Annotated[text(64, min_length=1), AfterValidator(_is_free)]
Models = Annotated[Name255, AfterValidator(_names_a_model)]
Since = Annotated[Timestamp, WrapValidator(_revision_or_time), WithJsonSchema({"type": "string"})]

_SENT = {"alias": "summarizer", "model": "openai:gpt-4o-mini"}
_SHOWN = {
    "id": 1,
    "project_id": "0193b1a2-0000-7000-8000-000000000001",
    "profile": DEFAULT_PROFILE,
    **_SENT,
    "metadata": None,
    "revision": 7,
    "created_at": "2026-01-02T03:04:05.678901Z",
    "updated_at": "2026-01-02T03:04:05.678901Z",
}


class _Target(Schema):
    model: Models = Field(
        description="`provider:model`, or several of them, separated by commas, in order."
    )
    metadata: FreeObject | None = None


class AliasItem(_Target):
    """An alias to bind, in the profile of the query."""

    model_config = example(_SENT)

    alias: AliasName


class AliasItems(RootModel[Annotated[list[AliasItem], Field(max_length=MAX_ITEMS)] | None]):
    """Aliases to bind, all or none."""

    model_config = example([_SENT])
    body_is_optional: ClassVar = True


class AliasTarget(_Target):
    """The model for the alias in the path."""

    model_config = example({"model": "openai:gpt-4o-mini", "profile": "dev"})

    profile: Text64 | None = Field(None, description=f"Null and empty: `{DEFAULT_PROFILE}`.")


class NewAlias(AliasTarget):
    """An alias to bind."""

    model_config = example({**_SENT, "profile": DEFAULT_PROFILE})

    alias: AliasName


class AliasInPath(Schema):
    alias: AliasName


class ProfileQuery(Schema):
    profile: Text64 = DEFAULT_PROFILE


class ResolveQuery(ProfileQuery):
    alias: Text


class AliasesQuery(Schema):
    profile: Text64 | None = Field(None, description="Absent: all of them.")
    since: Since | None = Field(
        None,
        description="A revision, or an ISO 8601 time: only what changed after it, removals "
        "included.",
    )


class ExportQuery(Schema):
    profile: Text64 | None = Field(None, description="Absent: all of them.")
    format: Literal[*FORMATS] = "json"


class Alias(Schema):
    """An alias in replies."""

    model_config = example(_SHOWN)

    id: int
    project_id: UUID
    profile: str
    alias: str
    model: str
    metadata: dict[str, Any] | None
    revision: int
    created_at: datetime
    updated_at: datetime


class AliasChange(Alias):
    """An alias that changed."""

    model_config = example({**_SHOWN, "deleted": False})

    deleted: bool = Field(description="Whether the alias is gone.", validation_alias="is_deleted")


class ResolvedAlias(Schema):
    model_config = example(_SENT)

    alias: str
    model: str | None = Field(description="Null: no such alias.")


class AliasDeletion(Schema):
    model_config = example({"deleted": True})

    deleted: bool = Field(description="Whether there was such an alias.")


class AliasUpdate(Schema):
    model_config = example({"updated": 1})

    updated: int


class Lockfile(Schema):
    """The client's lockfile, `llmring.lock`, as JSON."""

    version: str
    created_at: str
    updated_at: str
    default_profile: str
    metadata: dict[str, Any]
    profiles: dict[str, Any]
