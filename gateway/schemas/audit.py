"""Query and reply of the audit log."""

import json
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BeforeValidator, Field, field_validator

from core.schemas import SAFE_INTEGER_MAX, Schema, Text, Text255, Timestamp, example
from gateway.schemas.examples import ID, TIME, TOKEN_ID

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

    model_config = example(
        {
            "id": ID,
            "timestamp": TIME,
            "action": "token.create",
            "outcome": "success",
            "actor": "management_token",
            "project_id": ID,
            "token_id": TOKEN_ID,
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
