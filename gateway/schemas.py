"""Bodies, queries and replies of the management API.

Source: docs/gateway.md, section "Management API".
"""

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from core.schemas import (
    AMOUNT_MAX,
    INT32_MAX,
    SAFE_INTEGER_MAX,
    Number,
    OptionalTitle255,
    Schema,
    Text,
    Text255,
    Timestamp,
    Title255,
    decimal,
    matching,
    member_error,
    text,
    twelve_places,
)
from gateway.masking import is_masked
from gateway.upstream_config import DEFAULT_UPSTREAM, UpstreamName

MAX_MINUTES = 525_600  # a year
MAX_DAYS = 36_500
MAX_PAGE = 1_000
_ID = "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
_TOKEN_ID = "0193b1a2-9d21-7a10-b2c4-0f1e2d3c4b5a"
_TIME = "2026-01-02T03:04:05.678901Z"


def _example(*examples: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": list(examples)})


# --- Projects --------------------------------------------------------------


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

    model_config = _example({"name": "My Project", "api_key": "sk-proj-0123456789"})

    name: Title255


class ProjectChanges(_ProjectKeys):
    """Changes of a project; what is absent or null stays, and so does a key sent as ""."""

    model_config = _example({"name": "New Name"}, {"is_active": False, "revoke_tokens": True})

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

    model_config = _example(
        {
            "id": _ID,
            "name": "My Project",
            "api_key": "sk-proj-...6789",
            "upstream_keys": {DEFAULT_UPSTREAM: "sk-proj-...6789"},
            "is_active": True,
            "deactivated_at": None,
            "created_at": _TIME,
            "updated_at": _TIME,
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

    model_config = _example({"revoked_count": 2, "already_revoked_count": 1, "total_tokens": 3})

    revoked_count: int
    already_revoked_count: int
    total_tokens: int


class ManagedProjectsQuery(Schema):
    active_only: bool | None = None
    activeOnly: bool | None = Field(None, description="The same as `active_only`.")
    limit: int = Field(MAX_PAGE, ge=1, le=MAX_PAGE)
    offset: int = Field(0, ge=0, le=SAFE_INTEGER_MAX)

    @property
    def is_active_only(self) -> bool:
        return bool(self.active_only or self.activeOnly)


# --- Tokens ----------------------------------------------------------------


def _zero_is_none(limit: int | None) -> int | None:
    return limit or None


def _patterns(pattern: str, what: str, example: str):
    return Annotated[
        list[matching(pattern, f"{what} such as {example}", 255)] | None,
        Field(max_length=100, json_schema_extra={"examples": [[example]]}),
        AfterValidator(lambda patterns: patterns or None),
    ]


ModelPatterns = _patterns(r"^[^\s\x00]+$", "a pattern without blanks", "gpt-4o*")
EndpointPatterns = _patterns(r"^/[^\s\x00]*$", "a path", "/v1/chat/*")
Origins = _patterns(r"^[a-z][a-z0-9+.-]*://[^/\s\x00]+$", "an origin", "https://app.example.com")
Requests = Annotated[int, Field(ge=0, le=SAFE_INTEGER_MAX)]
PerMinute = Annotated[int, Field(ge=0, le=INT32_MAX)]
Budget = Annotated[
    Decimal,
    BeforeValidator(decimal),
    Field(gt=0, le=AMOUNT_MAX),
    AfterValidator(twelve_places),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": AMOUNT_MAX}),
]


class _TokenLimits(Schema):
    name: OptionalTitle255 | None = Field(None, description="Where the token is used.")
    upstream: text(50) | None = Field(
        None, description="The only upstream it may call; null or empty: all."
    )
    max_requests: Annotated[Requests | None, AfterValidator(_zero_is_none)] = Field(
        None, description="Requests in its whole life; null or 0: no limit."
    )
    requests_per_minute: Annotated[PerMinute | None, AfterValidator(_zero_is_none)] = Field(
        None, description="In each minute of the database's clock; null or 0: no limit."
    )
    budget_usd: Budget | None = Field(
        None, description="US dollars in its whole life; null: no limit."
    )
    allowed_models: ModelPatterns = Field(
        None, description="Patterns with `*`; null or empty: all."
    )
    allowed_endpoints: EndpointPatterns = Field(
        None, description="Patterns of paths with `*`; null or empty: all."
    )
    allowed_origins: Origins = Field(None, description="Origins of browsers; null or empty: all.")

    def columns(self) -> dict[str, Any]:
        """Return the limits that were sent, by column; a text of null is empty."""
        sent = {name: value for name, value in self.sent().items() if name in _LIMIT_NAMES}
        return {
            name: "" if value is None and name in ("name", "upstream") else value
            for name, value in sent.items()
        }


_LIMIT_NAMES = frozenset(_TokenLimits.model_fields)


class NewToken(_TokenLimits):
    """A token to issue, with exactly one of the three lifetimes."""

    model_config = _example(
        {
            "project_id": _ID,
            "duration_hours": 24,
            "name": "nightly report",
            "max_requests": 1000,
            "requests_per_minute": 60,
            "budget_usd": 5,
            "allowed_models": ["gpt-4o*"],
        }
    )

    project_id: UUID
    duration_minutes: Annotated[int, Field(ge=1, le=MAX_MINUTES)] | None = None
    duration_hours: Annotated[int, Field(ge=1, le=MAX_MINUTES // 60)] | None = None
    expires_in_days: Annotated[int, Field(ge=0, le=MAX_DAYS)] | None = Field(
        None, description="0: never."
    )

    @model_validator(mode="after")
    def _has_one_lifetime(self):
        names = ("duration_minutes", "duration_hours", "expires_in_days")
        if sum(getattr(self, name) is not None for name in names) != 1:
            raise member_error(
                "one_lifetime", "exactly one of " + ", ".join(names) + " is required", names[0]
            )
        return self

    def expires_at(self, now: datetime) -> datetime | None:
        """Return when the token expires; None: never."""
        if self.expires_in_days == 0:
            return None
        return now + timedelta(
            minutes=self.duration_minutes or 0,
            hours=self.duration_hours or 0,
            days=self.expires_in_days or 0,
        )


class TokenChanges(_TokenLimits):
    """Changes of a token; what is absent stays. Null takes a limit away."""

    model_config = _example({"max_requests": 2000}, {"is_active": False})

    is_active: bool | None = Field(None, description="False revokes it, true admits it again.")
    expires_at: Timestamp | None = Field(None, description="Null: never.")

    @model_validator(mode="after")
    def _changes_something(self):
        if not self.__pydantic_fields_set__:
            raise PydanticCustomError("no_fields", "no fields to update")
        return self


class Remaining(Schema):
    """What is left; null: no limit."""

    requests: int | None
    requests_this_minute: int | None
    budget_usd: Number | None


_SHOWN = {
    "id": _TOKEN_ID,
    "name": "nightly report",
    "token": "sk-AaH7**************hDCQ",
    "project_id": _ID,
    "upstream": "",
    "is_active": True,
    "expires_at": "2026-01-03T03:04:05.678901Z",
    "created_at": _TIME,
    "revoked_at": None,
    "max_requests": 1000,
    "requests_per_minute": 60,
    "budget_usd": 5,
    "allowed_models": ["gpt-4o*"],
    "allowed_endpoints": None,
    "allowed_origins": None,
    "request_count": 12,
    "cache_hit_count": 0,
    "last_used_at": _TIME,
    "spent_usd": 0.25,
    "reserved_usd": 0,
    "remaining": {"requests": 988, "requests_this_minute": 60, "budget_usd": 4.75},
}


class ManagedToken(Schema):
    """A token with its limits and what it has used."""

    model_config = _example(_SHOWN)

    id: UUID
    name: str
    token: str = Field(description="Masked.")
    project_id: UUID
    upstream: str
    is_active: bool = Field(description="False: revoked. Expiry is `expires_at`.")
    expires_at: datetime | None
    created_at: datetime
    revoked_at: datetime | None
    max_requests: int | None
    requests_per_minute: int | None
    budget_usd: Number | None
    allowed_models: list[str] | None
    allowed_endpoints: list[str] | None
    allowed_origins: list[str] | None
    request_count: int = Field(description="Calls that were admitted.")
    cache_hit_count: int = Field(description="Answers from the cache: no requests.")
    last_used_at: datetime | None
    spent_usd: Number
    reserved_usd: Number = Field(description="Bounds of calls whose costs are not known yet.")
    remaining: Remaining


class IssuedToken(ManagedToken):
    """A new token. `token` is its text, which is never shown again."""

    model_config = _example({**_SHOWN, "token": "sk-AaH7kq2mXw9LrTz4Vb8hDC"})


class Purge(Schema):
    """Which kept answers to remove: those to `url`, or to all addresses that begin so."""

    model_config = _example(
        {"method": "POST", "url": "/v1/embeddings"},
        {"method": "GET", "url": "/", "prefix": "/v1/models"},
    )

    method: Literal["GET", "POST"]
    url: text(2000, min_length=1) = Field(description="The path and query, with or without host.")
    prefix: text(2000, min_length=1) | None = Field(
        None, description="The beginning of paths; wins over `url`."
    )

    @field_validator("method", mode="before")
    @classmethod
    def _in_capitals(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value


class Purged(Schema):
    model_config = _example({"deleted": True})

    deleted: bool | int = Field(description="Whether there was any; of a prefix how many.")


class ManagedTokensQuery(ManagedProjectsQuery):
    project_id: UUID | None = None
    projectId: UUID | None = Field(None, description="The same as `project_id`.")

    @model_validator(mode="after")
    def _agree(self):
        if None not in (self.project_id, self.projectId) and self.project_id != self.projectId:
            raise member_error("project_conflict", "project_id and projectId differ", "project_id")
        return self


# --- Audit -----------------------------------------------------------------

MAX_AUDIT_PAGE = 100
_DEFAULT_AUDIT_PAGE = 20


class AuditQuery(Schema):
    """All filters match exactly, but `search`."""

    action: Text255 | None = None
    outcome: Text255 | None = None
    actor: Text255 | None = None
    client_ip: Text255 | None = None
    project_id: Text255 | None = None
    token_id: Text255 | None = None
    request_id: Text255 | None = None
    correlation_id: Text255 | None = Field(None, description="The same as `request_id`.")
    method: Text255 | None = None
    path: Text | None = None
    search: Text255 | None = Field(None, description="A part of any text of the event.")
    start_time: Timestamp | None = None
    end_time: Timestamp | None = None
    page: int = Field(1, le=SAFE_INTEGER_MAX, description="Below 1: 1.")
    page_size: int = Field(_DEFAULT_AUDIT_PAGE, description="Below 1: the default; above 100: 100.")

    @field_validator("page")
    @classmethod
    def _first(cls, page: int) -> int:
        return max(page, 1)

    @field_validator("page_size")
    @classmethod
    def _bounded(cls, size: int) -> int:
        return _DEFAULT_AUDIT_PAGE if size < 1 else min(size, MAX_AUDIT_PAGE)


class AuditRecord(Schema):
    """Something that changed access, or tried to."""

    model_config = _example(
        {
            "id": _ID,
            "timestamp": _TIME,
            "action": "token.create",
            "outcome": "success",
            "actor": "management_token",
            "project_id": _ID,
            "token_id": _TOKEN_ID,
            "user_id": None,
            "api_key_id": None,
            "request_id": "5f1c0d",
            "client_ip": "192.0.2.7",
            "method": "POST",
            "path": "/manage/tokens",
            "user_agent": "curl/8.5.0",
            "reason": "",
            "details": {"name": "nightly report"},
            "metadata": '{"name": "nightly report"}',
        }
    )

    id: UUID
    timestamp: datetime = Field(validation_alias="at")
    action: str
    outcome: str
    actor: str
    project_id: UUID | None
    token_id: UUID | None
    user_id: UUID | None
    api_key_id: UUID | None
    request_id: str
    client_ip: str | None
    method: str
    path: str
    user_agent: str
    reason: str
    details: dict[str, Any]
    metadata: Annotated[str, BeforeValidator(json.dumps)] = Field(
        validation_alias="details", description="`details` as JSON text, for old clients."
    )


class AuditPages(Schema):
    page: int
    page_size: int
    total_count: int
    total_pages: int
    has_next: bool
    has_prev: bool


class AuditPage(Schema):
    events: list[AuditRecord]
    pagination: AuditPages
