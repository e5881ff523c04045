"""Registered servers."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field

from core.schemas import FreeObject, Name255, Schema, Text255, example, text
from core.viewsets import page_query
from mcp import credential_masks
from mcp.models import Transport
from mcp.schemas import examples

TransportType = Literal[tuple(Transport.values)]


class ServerChanges(Schema):
    """Members that are sent change; null leaves them unchanged, `{}` clears an object."""

    model_config = example({"is_active": False})

    name: Name255 | None = None
    url: text(1000) | None = Field(
        None, description="A URL; for stdio a command line that the operator listed."
    )
    transport_type: TransportType | None = None
    auth_config: FreeObject | None = Field(
        None, description="Credentials, by `type`; encrypted, and masked in replies."
    )
    capabilities: FreeObject | None = None
    is_active: bool | None = None
    legacy: bool | None = Field(
        None, description="Send `initialize` first, for servers older than 2026-07-28."
    )
    timeout_seconds: float | None = Field(
        None,
        ge=0,
        le=600,
        allow_inf_nan=False,
        description="Time limit of a call; 0 for LLMRING_MCP_TIMEOUT.",
    )
    project_id: Text255 | None = Field(None, description="The client's own label.")


class NewServer(ServerChanges):
    model_config = example(examples.NEW_SERVER)

    name: Name255
    url: text(1000, min_length=1) = Field(
        description="A URL; for stdio a command line that the operator listed."
    )
    transport_type: TransportType


# Clients expect whole lists: the contract has no paging here.
class ServersQuery(page_query(default=100_000, maximum=100_000)):
    is_active: bool = Field(True, description="false: only inactive ones.")


class Server(Schema):
    model_config = example(examples.SERVER)

    name: str
    url: str
    transport_type: TransportType
    auth_config: Annotated[Any, BeforeValidator(credential_masks.masked_config)] = Field(
        description="With masked secrets."
    )
    capabilities: dict[str, Any] | None
    is_active: bool
    id: UUID
    api_key_id: UUID | None
    project_id: str | None = Field(validation_alias="project_label")
    created_at: datetime
    updated_at: datetime
    reachable: bool | None
    last_error: str
    contacted_at: datetime | None
    refreshed_at: datetime | None
    protocol_version: str
    prefix: str = Field(description="Begins the names of its items on `/mcp`.")
    legacy: bool
    timeout_seconds: float | None


class DeletedServer(Schema):
    model_config = example(examples.DELETED)

    message: str
