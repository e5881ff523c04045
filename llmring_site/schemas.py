"""Replies of the routes that describe the service."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from core.schemas import Schema, example

_AT = "2026-01-02T03:04:05.678Z"


class Endpoints(Schema):
    health: str
    registry: str
    api: str
    docs: str


class Service(Schema):
    """Description of the service."""

    model_config = example(
        {
            "name": "LLMRing Server",
            "service": "llmring-server",
            "version": "1.0.0",
            "status": "operational",
            "timestamp": _AT,
            "docs": "/docs",
            "registry": "/registry",
            "endpoints": {
                "health": "/health",
                "registry": "/registry",
                "api": "/api/v1",
                "docs": "/docs",
            },
        }
    )

    name: str = "LLMRing Server"
    service: str = "llmring-server"
    version: str
    status: str = "operational"
    timestamp: str
    docs: str
    registry: str
    endpoints: Endpoints

    @classmethod
    def below(cls, prefix: str, *, version: str, timestamp: str) -> "Service":
        """Return the description with paths below `prefix`, which is "" at the root."""
        return cls(
            version=version,
            timestamp=timestamp,
            docs=f"{prefix}/docs",
            registry=f"{prefix}/registry",
            endpoints=Endpoints(
                health=f"{prefix}/health",
                registry=f"{prefix}/registry",
                api=f"{prefix}/api/v1",
                docs=f"{prefix}/docs",
            ),
        )


_Connection = Literal["connected", "disconnected"]
_Migrations = Annotated[
    Literal["pending"] | None, Field(description="Present while migrations are not applied.")
]


class DatabaseState(Schema):
    database: _Connection
    migrations: _Migrations = None

    @property
    def is_usable(self) -> bool:
        return self.database == "connected" and self.migrations is None


class RegistryState(Schema):
    snapshot: str
    prices_made_at: datetime | None = Field(description="When upstream last updated the prices.")
    prices_are_old: bool = Field(description="Whether that is more than thirty days ago.")


class Health(Schema):
    """Whether the service works."""

    model_config = example(
        {
            "status": "healthy",
            "database": "connected",
            "redis": "disabled",
            "registry": {
                "snapshot": "2026.01.01",
                "prices_made_at": "2026-01-01T21:05:03.715411Z",
                "prices_are_old": False,
            },
            "name": "LLMRing Server",
            "version": "1.0.0",
            "timestamp": _AT,
        }
    )

    status: Literal["healthy", "unhealthy"]
    database: _Connection
    migrations: _Migrations = None
    redis: Literal["disabled", "connected", "disconnected"]
    registry: RegistryState | None = Field(
        None, description="The prices in use; absent while this process has none."
    )
    name: str = "LLMRing Server"
    version: str
    timestamp: str


class Live(Schema):
    status: Literal["alive"] = "alive"


class Ready(Schema):
    status: Literal["ready"] = "ready"


class NotReady(Schema):
    status: Literal["not ready"] = "not ready"
    database: _Connection
    migrations: _Migrations = None
