"""Bodies and replies of the routes of people, their projects and keys."""

from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AfterValidator, AliasChoices, Field
from pydantic_core import PydanticCustomError

from accounts.email_addresses import EmailAddress
from accounts.models import Role, Scope
from core.schemas import OptionalTitle255, Schema, Text255, Timestamp, Title255, example, text
from core.viewsets import page_query

_ID = "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
_TIME = "2026-02-01T10:00:00Z"
# Only bounded here: what is too weak is said by accounts.passwords.
Password = Annotated[text(1_000), Field(json_schema_extra={"format": "password"})]
_NEW_PASSWORD = Field(
    validation_alias=AliasChoices("password", "new_password"),
    description="Also as `new_password`.",
)
Token = text(500, min_length=1)
RoleName = Literal["owner", "admin", "member", "viewer"]
ScopeName = Literal["read", "log", "all"]
assert {*Role.values} == {"owner", "admin", "member", "viewer"}
assert {*Scope.values} == {"read", "log", "all"}


# --- Accounts ---------------------------------------------------------------


class NewAccount(Schema):
    model_config = example(
        {
            "email": "ana@example.com",
            "password": "a long sentence",
            "organization": "Example Inc.",
        }
    )
    email: EmailAddress
    password: Password
    organization: Text255 | None = Field(None, description="Names the first project.")


class CommandLineAccount(Schema):
    """What the client's `llmring register` sends."""

    model_config = example(
        {
            "email": "ana@example.com",
            "organization": None,
            "project_name": "laptop",
            "accept_terms": True,
        }
    )
    email: EmailAddress
    organization: Text255 | None = None
    project_name: Text255 | None = None
    accept_terms: Literal[True]


class Credentials(Schema):
    model_config = example({"email": "ana@example.com", "password": "a long sentence"})
    email: EmailAddress
    password: Password


class AccountKey(Schema):
    """The key that a registration or a login gives; it is not shown again."""

    model_config = example(
        {
            "api_key": "llmr_pk_00112233445566778899aabbccddeeff",
            "api_key_active": True,
            "tier": "free",
            "project_id": _ID,
        }
    )
    api_key: str | None = Field(description="Null for a person who is in no project.")
    api_key_active: bool = Field(True, description="False until the address is verified.")
    tier: str | None = Field(description="Of the project; null: no limits.")
    project_id: UUID | None


class CommandLineKey(AccountKey):
    model_config = example(
        {
            "api_key": "llmr_pk_00112233445566778899aabbccddeeff",
            "api_key_active": True,
            "tier": "free",
            "project_id": _ID,
            "dashboard_url": "https://llm.example.com/",
        }
    )
    dashboard_url: str


class Address(Schema):
    model_config = example({"email": "ana@example.com"})
    email: EmailAddress


class NewPassword(Schema):
    model_config = example({"token": "kq0v…", "password": "another long sentence"})
    token: Token
    password: Password = _NEW_PASSWORD


class PasswordChange(Schema):
    model_config = example(
        {"current_password": "a long sentence", "password": "another long sentence"}
    )
    current_password: Password
    password: Password = _NEW_PASSWORD


class PasswordProof(Schema):
    model_config = example({"password": "a long sentence"})
    body_is_optional: ClassVar[bool] = True
    password: Password = ""


class VerificationToken(Schema):
    model_config = example({"token": "kq0v…", "password": "a long sentence"})
    token: Token
    password: Password = Field("", description="Needed unless the session is the account's.")


class InvitationToken(Schema):
    model_config = example({"token": "kq0v…"})
    token: Token


class Notice(Schema):
    model_config = example({"message": "If there is such an account, a mail is on its way."})
    message: str


class RemainingKey(Schema):
    id: UUID
    name: str
    hint: str
    project_id: UUID
    last_used_at: datetime | None


class PasswordWasReset(Notice):
    model_config = example({"message": "The password is set.", "keys": []})
    keys: list[RemainingKey] = Field(description="Keys of the person that still work.")


class KeyStatus(Schema):
    active: int = Field(description="Keys that logins gave and that work.")
    retrievable: bool = Field(description="`retrieve-api-key` has one, once.")


class OwnProject(Schema):
    id: UUID
    name: str
    role: RoleName
    tier: str | None


class Me(Schema):
    model_config = example(
        {
            "id": _ID,
            "email": "ana@example.com",
            "email_verified": True,
            "has_password": True,
            "is_staff": False,
            "providers": ["github"],
            "api_key": {"active": 1, "retrievable": False},
            "projects": [{"id": _ID, "name": "My project", "role": "owner", "tier": "free"}],
        }
    )
    id: UUID
    email: str
    email_verified: bool
    has_password: bool
    is_staff: bool
    providers: list[str]
    api_key: KeyStatus
    projects: list[OwnProject]


# --- Projects and members ---------------------------------------------------


class ProjectName(Schema):
    model_config = example({"name": "search"})
    name: Title255


class ProjectReply(Schema):
    model_config = example(
        {
            "id": _ID,
            "name": "search",
            "created_at": _TIME,
            "archived_at": None,
            "role": "owner",
            "tier": "free",
        }
    )
    id: UUID
    name: str
    created_at: datetime
    archived_at: datetime | None
    role: RoleName | None = Field(description="Yours; null for staff who are no members.")
    tier: str | None


class MemberReply(Schema):
    model_config = example(
        {"user_id": _ID, "email": "ben@example.com", "role": "member", "since": _TIME}
    )
    user_id: UUID
    email: str
    role: RoleName
    since: datetime


class RoleChange(Schema):
    model_config = example({"role": "viewer"})
    role: RoleName


class HandOver(Schema):
    model_config = example({"user_id": _ID})
    user_id: UUID


class NewInvitation(Schema):
    model_config = example({"email": "ben@example.com", "role": "member"})
    email: EmailAddress
    role: RoleName = "member"


class InvitationReply(Schema):
    model_config = example(
        {
            "id": _ID,
            "email": "ben@example.com",
            "role": "member",
            "status": "open",
            "created_at": _TIME,
            "expires_at": "2026-02-08T10:00:00Z",
        }
    )
    id: UUID
    email: str
    role: RoleName
    status: Literal["open", "accepted", "withdrawn", "expired"]
    created_at: datetime
    expires_at: datetime


# --- Keys -------------------------------------------------------------------

_KEY = {
    "id": _ID,
    "name": "laptop",
    "hint": "llmr_pk_0011",
    "state": "active",
    "scopes": ["log"],
    "created_at": _TIME,
    "expires_at": None,
    "revoked_at": None,
    "previous_expires_at": None,
    "last_used_at": _TIME,
    "cost_this_month": "1.25",
}


def _is_ahead(value: datetime) -> datetime:
    if value <= datetime.now(UTC):
        raise PydanticCustomError("in_the_past", "Input should be a time in the future")
    return value


FutureTime = Annotated[Timestamp, AfterValidator(_is_ahead)]


class NewKey(Schema):
    model_config = example({"name": "laptop", "scopes": ["log"], "expires_at": None})
    body_is_optional: ClassVar[bool] = True
    name: OptionalTitle255 = ""
    scopes: list[ScopeName] = Field(["all"], min_length=1, max_length=3)
    expires_at: FutureTime | None = None


class KeyChanges(Schema):
    """Members that are sent change; null as `expires_at` is no end."""

    model_config = example({"name": "old laptop"})
    name: OptionalTitle255 | None = None
    scopes: list[ScopeName] | None = Field(None, min_length=1, max_length=3)
    expires_at: FutureTime | None = None


class Rotation(Schema):
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
    model_config = example({**_KEY, "api_key": "llmr_pk_00112233445566778899aabbccddeeff"})
    api_key: str = Field(description="Not shown again.")


KeysQuery = page_query(default=100, maximum=1_000)
ProjectsQuery = page_query(default=100, maximum=1_000)


# --- The audit log ----------------------------------------------------------


class AuditQuery(page_query(default=100, maximum=1_000)):
    action: Text255 | None = None


class AuditReply(Schema):
    model_config = example(
        {
            "id": _ID,
            "at": _TIME,
            "action": "key.create",
            "outcome": "success",
            "actor": f"user:{_ID}",
            "user_id": _ID,
            "api_key_id": _ID,
            "project_id": _ID,
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
