"""The service about itself: what it is, and whether it works."""

from datetime import UTC, datetime

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.response import Response

from core.errors import DATABASE_AWAY
from core.views import PublicView


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_EXAMPLE_TIME = "2026-01-02T03:04:05.678Z"


def _service(timestamp: str) -> dict:
    return {
        "name": "LLMRing Server",
        "service": "llmring-server",
        "version": settings.VERSION,
        "status": "operational",
        "timestamp": timestamp,
        "docs": "/docs",
        "registry": "/registry",
        "endpoints": {
            "health": "/health",
            "registry": "/registry",
            "api": "/api/v1",
            "docs": "/docs",
        },
    }


def _health(*, connected: bool, redis: str, timestamp: str) -> dict:
    return {
        "status": "healthy" if connected else "unhealthy",
        "database": "connected" if connected else "disconnected",
        "redis": redis,
        "name": "LLMRing Server",
        "version": settings.VERSION,
        "timestamp": timestamp,
    }


class ServiceView(PublicView):
    @extend_schema(
        tags=["service"],
        summary="What this service is and where its parts are",
        description="",
        responses={200: dict},
        examples=[OpenApiExample("service", _service(_EXAMPLE_TIME))],
    )
    def get(self, request):
        return Response(_service(_now()))


class HealthView(PublicView):
    @extend_schema(
        tags=["service"],
        summary="State of the service, its database and its cache",
        description="503 with the same body when the database is away.",
        responses={200: dict, 503: dict},
        examples=[
            OpenApiExample(
                "healthy",
                _health(connected=True, redis="disabled", timestamp=_EXAMPLE_TIME),
                status_codes=["200"],
            )
        ],
    )
    def get(self, request):
        connected = _database_answers()
        body = _health(connected=connected, redis=_redis_state(), timestamp=_now())
        return Response(body, status=200 if connected else 503)


class LiveView(PublicView):
    @extend_schema(
        tags=["service"],
        summary="Whether the process answers at all",
        description="",
        responses={200: dict},
        examples=[OpenApiExample("alive", {"status": "alive"})],
    )
    def get(self, request):
        return Response({"status": "alive"})


class ReadyView(PublicView):
    @extend_schema(
        tags=["service"],
        summary="Whether requests can be served now",
        description="",
        responses={200: dict, 503: dict},
        examples=[OpenApiExample("ready", {"status": "ready"}, status_codes=["200"])],
    )
    def get(self, request):
        if _database_answers():
            return Response({"status": "ready"})
        return Response({"status": "not ready", "database": "disconnected"}, status=503)


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return True
    except DATABASE_AWAY:
        return False


def _redis_state() -> str:
    """`disabled`, `connected` or `disconnected`."""
    if not settings.REDIS_URL:
        return "disabled"
    # The cache swallows lost connections; what was not kept tells.
    cache.set("health", 1, 5)
    return "connected" if cache.get("health") == 1 else "disconnected"
