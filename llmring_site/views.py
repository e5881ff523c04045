"""The service about itself: what it is, and whether it works."""

from datetime import UTC, datetime

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from rest_framework.response import Response

from core.errors import DATABASE_AWAY
from core.views import PublicView
from llmring_site.schemas import Health, Live, NotReady, Ready, Service


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class ServiceView(PublicView):
    tags = ["service"]
    replies = {"get": Service}

    def get(self, request):
        """What this service is and where its parts are"""
        return Response(Service(version=settings.VERSION, timestamp=_now()).model_dump())


class HealthView(PublicView):
    tags = ["service"]
    replies = {"get": {200: Health, 503: Health}}

    def get(self, request):
        """State of the service, its database and its cache

        503 with the same body when the database is away.
        """
        connected = _is_database_connected()
        health = Health(
            status="healthy" if connected else "unhealthy",
            database="connected" if connected else "disconnected",
            redis=_redis_state(),
            version=settings.VERSION,
            timestamp=_now(),
        )
        return Response(health.model_dump(), status=200 if connected else 503)


class LiveView(PublicView):
    tags = ["service"]
    replies = {"get": Live}

    def get(self, request):
        """Whether the process answers at all"""
        return Response(Live().model_dump())


class ReadyView(PublicView):
    tags = ["service"]
    replies = {"get": {200: Ready, 503: NotReady}}

    def get(self, request):
        """Whether requests can be served now"""
        if _is_database_connected():
            return Response(Ready().model_dump())
        return Response(NotReady().model_dump(), status=503)


def _is_database_connected() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return True
    except DATABASE_AWAY:
        return False


def _redis_state() -> str:
    """Return `disabled`, `connected` or `disconnected`."""
    if not settings.REDIS_URL:
        return "disabled"
    # The cache swallows lost connections; whether it kept something shows them.
    cache.set("health", 1, 5)
    return "connected" if cache.get("health") == 1 else "disconnected"
