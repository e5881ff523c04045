"""Replies of the service about itself."""

from typing import Literal

from pydantic import ConfigDict

from core.schemas import Schema

_AT = "2026-01-02T03:04:05.678Z"


class Endpoints(Schema):
    health: str
    registry: str
    api: str
    docs: str


class Service(Schema):
    """What this service is, and where its parts are."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
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
            ]
        }
    )

    name: str = "LLMRing Server"
    service: str = "llmring-server"
    version: str
    status: str = "operational"
    timestamp: str
    docs: str = "/docs"
    registry: str = "/registry"
    endpoints: Endpoints = Endpoints(
        health="/health", registry="/registry", api="/api/v1", docs="/docs"
    )


class Health(Schema):
    """Whether the service works."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "status": "healthy",
                    "database": "connected",
                    "redis": "disabled",
                    "name": "LLMRing Server",
                    "version": "1.0.0",
                    "timestamp": _AT,
                }
            ]
        }
    )

    status: Literal["healthy", "unhealthy"]
    database: Literal["connected", "disconnected"]
    redis: Literal["disabled", "connected", "disconnected"]
    name: str = "LLMRing Server"
    version: str
    timestamp: str


class Live(Schema):
    status: Literal["alive"] = "alive"


class Ready(Schema):
    status: Literal["ready"] = "ready"


class NotReady(Schema):
    status: Literal["not ready"] = "not ready"
    database: Literal["disconnected"] = "disconnected"
