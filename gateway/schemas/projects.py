"""Bodies, queries and replies about projects."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from core.schemas import SAFE_INTEGER_MAX, Schema, Title255, example, member_error, text
from gateway.masking import is_masked
from gateway.schemas.examples import ID, TIME
from gateway.upstream_config import DEFAULT_UPSTREAM, UpstreamName

MAX_PAGE = 1_000


def _usable_key(key: str) -> str:
    if is_masked(key):
        raise PydanticCustomError(
            "masked_key",
            "cannot save obfuscated API key - please provide the full API key",
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise PydanticCustomError("key_form", "An API key has printable ASCII characters alone")
    return key


UpstreamKeyText = Annotated[
    text(1_000, min_length=1),
    Field(json_schema_extra={"writeOnly": True}),
    AfterValidator(_usable_key),
]
_KEY = Field(None, description="Of the upstream `openai`, stored sealed.")


class _ProjectKeys(Schema):
    api_key: UpstreamKeyText | None = _KEY
    openai_api_key: UpstreamKeyText | None = Field(None, description="The same as `api_key`.")
    upstream_keys: dict[UpstreamName, UpstreamKeyText | None] = Field(
        {}, max_length=50, description="Keys by upstream; null removes one."
    )

    @model_validator(mode="after")
    def _agree(self):
        default = self.upstream_keys.get(DEFAULT_UPSTREAM)
        keys = {self.api_key, self.openai_api_key, default} - {None}
        if len(keys) > 1:
            raise member_error(
                "key_conflict", "api_key and openai_api_key are the same member", "api_key"
            )
        return self

    def keys(self) -> dict[str, str | None]:
        """Return the keys that were sent, by upstream; None to remove one."""
        own = self.api_key or self.openai_api_key
        return {**self.upstream_keys, **({DEFAULT_UPSTREAM: own} if own else {})}


class NewProject(_ProjectKeys):
    """A project to create. Without a key of its own it uses the server's."""

    model_config = example({"name": "My Project", "api_key": "sk-proj-0123456789"})

    name: Title255


class ProjectChanges(_ProjectKeys):
    """Changes of a project; what is absent or null stays, and so does a key sent as ""."""

    model_config = example({"name": "New Name"}, {"is_active": False, "revoke_tokens": True})

    name: Title255 | None = None
    is_active: bool | None = Field(None, description="False: its tokens and keys are refused.")
    revoke_tokens: bool = Field(False, description="Revoke its tokens; with `is_active` false.")

    @field_validator("api_key", "openai_api_key", mode="before")
    @classmethod
    def _empty_keeps(cls, key: object) -> object:
        return None if key == "" else key

    @model_validator(mode="after")
    def _revokes_when_inactive(self):
        if self.revoke_tokens and self.is_active is not False:
            raise member_error(
                "requires_inactive", "revoke_tokens requires is_active=false", "revoke_tokens"
            )
        return self


class ManagedProject(Schema):
    """A project, its upstream keys masked."""

    model_config = example(
        {
            "id": ID,
            "name": "My Project",
            "api_key": "sk-proj-...6789",
            "upstream_keys": {DEFAULT_UPSTREAM: "sk-proj-...6789"},
            "is_active": True,
            "deactivated_at": None,
            "created_at": TIME,
            "updated_at": TIME,
        }
    )

    id: UUID
    name: str
    api_key: str = Field(description="Masked; empty: calls use the server's key.")
    upstream_keys: dict[str, str] = Field(description="Masked keys by upstream.")
    is_active: bool
    deactivated_at: datetime | None
    created_at: datetime
    updated_at: datetime


class TokensRevoked(Schema):
    """What became of the tokens of a project."""

    model_config = example({"revoked_count": 2, "already_revoked_count": 1, "total_tokens": 3})

    revoked_count: int
    already_revoked_count: int
    total_tokens: int


class ManagedProjectsQuery(Schema):
    active_only: bool | None = Field(None, description="Also as `activeOnly`.")
    activeOnly: SkipJsonSchema[bool | None] = None
    limit: int = Field(MAX_PAGE, ge=1, le=MAX_PAGE)
    offset: int = Field(0, ge=0, le=SAFE_INTEGER_MAX)

    @property
    def is_active_only(self) -> bool:
        return bool(self.active_only or self.activeOnly)
