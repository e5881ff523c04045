"""Bodies, queries and replies about tokens."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from core.schemas import (
    AMOUNT_MAX,
    INT32_MAX,
    SAFE_INTEGER_MAX,
    Number,
    OptionalTitle255,
    Schema,
    StrictSchema,
    Timestamp,
    decimal,
    example,
    matching,
    member_error,
    text,
    twelve_places,
)
from gateway.schemas.examples import ID, TIME, TOKEN_ID
from gateway.schemas.projects import ManagedProjectsQuery

MAX_MINUTES = 525_600  # a year
MAX_DAYS = 36_500


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
# Not patterns: what has a sign of one, or is more than an origin, would never match.
_ORIGIN = r"^[a-z][a-z0-9+.-]*://[A-Za-z0-9._:\[\]-]+$"
Origins = _patterns(_ORIGIN, "an origin", "https://app.example.com")


def _number(value: object) -> object:
    # pydantic takes true for 1: a limit that nobody meant.
    if isinstance(value, bool):
        raise PydanticCustomError("int_type", "Input should be a valid integer")
    return value


def _amount(value: object) -> Decimal:
    return twelve_places(decimal(value))  # first: what rounds to 0 is no budget


def _integer(*, ge: int, le: int) -> type[int]:
    return Annotated[int, Field(ge=ge, le=le), BeforeValidator(_number)]


Requests = _integer(ge=0, le=SAFE_INTEGER_MAX)
PerMinute = _integer(ge=0, le=INT32_MAX)
Budget = Annotated[
    Decimal,
    BeforeValidator(_amount),
    Field(gt=0, le=AMOUNT_MAX),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": AMOUNT_MAX}),
]


class _TokenLimits(StrictSchema):
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

    model_config = example(
        {
            "project_id": ID,
            "duration_hours": 24,
            "name": "nightly report",
            "max_requests": 1000,
            "requests_per_minute": 60,
            "budget_usd": 5,
            "allowed_models": ["gpt-4o*"],
        }
    )

    project_id: UUID
    duration_minutes: _integer(ge=1, le=MAX_MINUTES) | None = None
    duration_hours: _integer(ge=1, le=MAX_MINUTES // 60) | None = None
    expires_in_days: _integer(ge=0, le=MAX_DAYS) | None = Field(None, description="0: never.")

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


class Remaining(Schema):
    """What is left; null: no limit."""

    requests: int | None
    requests_this_minute: int | None
    budget_usd: Number | None


_SHOWN = {
    "id": TOKEN_ID,
    "name": "nightly report",
    "token": "sk-AaH7**************hDCQ",
    "project_id": ID,
    "upstream": "",
    "is_active": True,
    "expires_at": "2026-01-03T03:04:05.678901Z",
    "created_at": TIME,
    "revoked_at": None,
    "max_requests": 1000,
    "requests_per_minute": 60,
    "budget_usd": 5,
    "allowed_models": ["gpt-4o*"],
    "allowed_endpoints": None,
    "allowed_origins": None,
    "request_count": 12,
    "cache_hit_count": 0,
    "last_used_at": TIME,
    "spent_usd": 0.25,
    "reserved_usd": 0,
    "remaining": {"requests": 988, "requests_this_minute": 60, "budget_usd": 4.75},
}


class ManagedToken(Schema):
    """A token with its limits and what it has used."""

    model_config = example(_SHOWN)

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


class TokenChanges(_TokenLimits):
    """Changes of a token; what is absent stays. Null takes a limit away."""

    model_config = example({"max_requests": 2000}, {"is_active": False})

    reply: ClassVar = ManagedToken
    is_active: bool | None = Field(None, description="False revokes it, true admits it again.")
    expires_at: Timestamp | None = Field(None, description="Null: never.")

    @model_validator(mode="after")
    def _changes_something(self):
        if not self.__pydantic_fields_set__:
            raise PydanticCustomError("no_fields", "no fields to update")
        return self


class IssuedToken(ManagedToken):
    """A new token. `token` is its text, which is never shown again."""

    model_config = example(
        {
            **_SHOWN,
            "token": "sk-AaH7kq2mXw9LrTz4Vb8hDC",
            "request_count": 0,
            "last_used_at": None,
            "spent_usd": 0,
            "remaining": {"requests": 1000, "requests_this_minute": 60, "budget_usd": 5},
        }
    )

    token: str


class ManagedTokensQuery(ManagedProjectsQuery):
    project_id: UUID | None = Field(None, description="Also as `projectId`.")
    projectId: SkipJsonSchema[UUID | None] = None

    @model_validator(mode="after")
    def _agree(self):
        if None not in (self.project_id, self.projectId) and self.project_id != self.projectId:
            raise member_error("project_conflict", "project_id and projectId differ", "project_id")
        return self
