"""API keys."""

from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from accounts.models import Scope
from accounts.schemas.examples import ID, TIME
from core.schemas import OptionalTitle255, Schema, StrictSchema, Timestamp, example
from core.viewsets import page_query

ScopeName = Literal["read", "log", "all"]
assert {*Scope.values} == {"read", "log", "all"}
_KEY = {
    "id": ID,
    "name": "laptop",
    "hint": "llmr_pk_0011",
    "state": "active",
    "scopes": ["log"],
    "created_at": TIME,
    "expires_at": None,
    "revoked_at": None,
    "previous_expires_at": None,
    "last_used_at": TIME,
    "cost_this_month": "1.25",
}


def _is_ahead(value: datetime) -> datetime:
    if value <= datetime.now(UTC):
        raise PydanticCustomError("in_the_past", "Input should be a time in the future")
    return value


FutureTime = Annotated[Timestamp, AfterValidator(_is_ahead)]


class NewKey(StrictSchema):
    model_config = example({"name": "laptop", "scopes": ["log"], "expires_at": None})
    body_is_optional: ClassVar[bool] = True
    name: OptionalTitle255 = ""
    scopes: list[ScopeName] | None = Field(
        None,
        min_length=1,
        max_length=3,
        description="By default the most that the caller may give: `all`, or of members `read` "
        "and `log`.",
    )
    expires_at: FutureTime | None = None


class KeyChanges(StrictSchema):
    """Members that are sent change; null as `expires_at` is no end."""

    model_config = example({"name": "old laptop"})
    name: OptionalTitle255 | None = None
    scopes: list[ScopeName] | None = Field(None, min_length=1, max_length=3)
    expires_at: FutureTime | None = None


class Rotation(StrictSchema):
    model_config = example({"overlap_seconds": 86_400})
    body_is_optional: ClassVar[bool] = True
    overlap_seconds: int = Field(
        86_400, ge=0, le=30 * 86_400, description="How long the old value still works."
    )
    expires_at: FutureTime | None = Field(None, description="Else the key's own end stays.")


class KeyReply(Schema):
    model_config = example(_KEY)
    id: UUID
    name: str
    hint: str = Field(description="The first characters of the key.")
    state: Literal["active", "expired", "revoked", "pending"]
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    previous_expires_at: datetime | None = Field(
        description="Until then the value before the last rotation works too."
    )
    last_used_at: datetime | None = Field(description="Exact to a minute.")
    cost_this_month: str = Field(description="US dollars since the first of the UTC month.")


class IssuedKey(KeyReply):
    model_config = example(
        {
            **_KEY,
            "last_used_at": None,
            "cost_this_month": "0",
            "api_key": "llmr_pk_00112233445566778899aabbccddeeff",
        }
    )
    api_key: str = Field(description="Not shown again.")


KeysQuery = page_query(default=100, maximum=1_000)
