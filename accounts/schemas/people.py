"""Accounts and sessions."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AliasChoices, Field

from accounts.people.email_addresses import EmailAddress
from accounts.schemas.examples import ID
from accounts.schemas.projects import RoleName
from core.schemas import Schema, Text255, example, text

# Only bounded here: accounts.passwords refuses what is too weak.
Password = Annotated[text(1_000), Field(json_schema_extra={"format": "password"})]
_NEW_PASSWORD = Field(
    validation_alias=AliasChoices("password", "new_password"),
    description="Also as `new_password`.",
)
Token = text(500, min_length=1)


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
            "project_id": ID,
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
            "project_id": ID,
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


class EmailChange(Schema):
    model_config = example({"email": "ana@example.org", "current_password": "a long sentence"})
    email: EmailAddress
    current_password: Password = Field("", description="Needed if the account has one.")


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
    model_config = example({"message": "…"})  # of each route: `reply_examples`
    message: str


class RemainingKey(Schema):
    id: UUID
    name: str
    hint: str
    project_id: UUID
    last_used_at: datetime | None


class PasswordWasReset(Notice):
    model_config = example({"message": "…", "keys": [], "providers": ["github"]})
    keys: list[RemainingKey] = Field(description="Keys of the person that still work.")
    providers: list[str] = Field(description="Those whose identities still open the account.")


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
            "id": ID,
            "email": "ana@example.com",
            "email_verified": True,
            "has_password": True,
            "is_staff": False,
            "providers": ["github"],
            "api_key": {"active": 1, "retrievable": False},
            "projects": [{"id": ID, "name": "My project", "role": "owner", "tier": "free"}],
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
