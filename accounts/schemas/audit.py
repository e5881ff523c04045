"""The audit log."""

from datetime import datetime
from uuid import UUID

from accounts.schemas.examples import ID, TIME
from core.schemas import Schema, Text255, example
from core.viewsets import page_query


class AuditQuery(page_query(default=100, maximum=1_000)):
    action: Text255 | None = None


class AuditReply(Schema):
    model_config = example(
        {
            "id": ID,
            "at": TIME,
            "action": "key.create",
            "outcome": "success",
            "actor": f"user:{ID}",
            "user_id": ID,
            "api_key_id": ID,
            "project_id": ID,
            "client_ip": "192.0.2.7",
            "request_id": "r-1",
            "reason": "",
            "details": {"scopes": ["all"]},
        }
    )
    id: UUID
    at: datetime
    action: str
    outcome: str
    actor: str
    user_id: UUID | None
    api_key_id: UUID | None
    project_id: UUID | None
    client_ip: str | None
    request_id: str
    reason: str
    details: dict
