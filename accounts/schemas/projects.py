"""Projects, their members and invitations."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from accounts.models import Role
from accounts.people.email_addresses import EmailAddress
from accounts.schemas.examples import ID, TIME
from core.schemas import Schema, StrictSchema, Title255, example
from core.viewsets import page_query

RoleName = Literal["owner", "admin", "member", "viewer"]
assert {*Role.values} == {"owner", "admin", "member", "viewer"}


class ProjectName(Schema):
    model_config = example({"name": "search"})
    name: Title255


class ProjectReply(Schema):
    model_config = example(
        {
            "id": ID,
            "name": "search",
            "created_at": TIME,
            "archived_at": None,
            "role": "owner",
            "tier": "free",
        }
    )
    id: UUID
    name: str
    created_at: datetime
    archived_at: datetime | None
    role: RoleName | None = Field(description="Yours; null for staff who are not members.")
    tier: str | None


class MemberReply(Schema):
    model_config = example(
        {"user_id": ID, "email": "ben@example.com", "role": "member", "since": TIME}
    )
    user_id: UUID
    email: str
    role: RoleName
    since: datetime


class RoleChange(Schema):
    model_config = example({"role": "viewer"})
    role: RoleName


class HandOver(Schema):
    model_config = example({"user_id": ID})
    user_id: UUID


class NewInvitation(StrictSchema):
    model_config = example({"email": "ben@example.com", "role": "member"})
    email: EmailAddress
    role: RoleName = "member"


class InvitationReply(Schema):
    model_config = example(
        {
            "id": ID,
            "email": "ben@example.com",
            "role": "member",
            "status": "open",
            "created_at": TIME,
            "expires_at": "2026-02-08T10:00:00Z",
        }
    )
    id: UUID
    email: str
    role: RoleName
    status: Literal["open", "accepted", "withdrawn", "expired"]
    created_at: datetime
    expires_at: datetime


ProjectsQuery = page_query(default=100, maximum=1_000)
