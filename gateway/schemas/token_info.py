"""What a token's holder may know of it: `GET /v1/token`."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from core.schemas import Schema, example
from gateway.schemas.examples import ID, TIME, TOKEN_ID


class TokenRemainder(Schema):
    """What is left; null: no limit."""

    requests: int | None
    requests_this_minute: int | None
    budget_usd: str | None = Field(description="US dollars, as decimal text.")


class TokenInfo(Schema):
    """A token's limits, and what it has used. Amounts are US dollars, as decimal text."""

    model_config = example(
        {
            "object": "token",
            "id": TOKEN_ID,
            "name": "nightly report",
            "project_id": ID,
            "created_at": TIME,
            "expires_at": "2026-01-03T03:04:05.678901Z",
            "upstream": "",
            "allowed_models": ["gpt-4o*"],
            "allowed_endpoints": None,
            "allowed_origins": None,
            "max_requests": 1000,
            "requests_per_minute": 60,
            "budget_usd": "5",
            "request_count": 12,
            "spent_usd": "0.25",
            "reserved_usd": "0",
            "remaining": {"requests": 988, "requests_this_minute": 60, "budget_usd": "4.75"},
        }
    )

    object: Literal["token"]
    id: UUID
    name: str
    project_id: UUID
    created_at: datetime
    expires_at: datetime | None = Field(description="Null: never.")
    upstream: str = Field(description="The only upstream it may call; empty: all.")
    allowed_models: list[str] | None = Field(description="Patterns with `*`; null: all.")
    allowed_endpoints: list[str] | None = Field(description="Patterns with `*`; null: all.")
    allowed_origins: list[str] | None = Field(description="Null: all.")
    max_requests: int | None = Field(description="In its whole life; null: no limit.")
    requests_per_minute: int | None = Field(description="Null: no limit.")
    budget_usd: str | None = Field(description="In its whole life; null: no limit.")
    request_count: int = Field(description="Calls that were admitted.")
    spent_usd: str
    reserved_usd: str = Field(description="Bounds of calls whose costs are not known yet.")
    remaining: TokenRemainder


class OpenAIErrorDetail(Schema):
    """What went wrong, as OpenAI's SDKs read it."""

    message: str
    type: str
    param: str | None
    code: str


class OpenAIError(Schema):
    """An error of the gateway's own, in OpenAI's form."""

    error: OpenAIErrorDetail
