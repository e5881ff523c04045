"""Routes that describe the service and its state."""

import functools
from datetime import UTC, datetime

from django.conf import settings
from django.core.cache import cache
from django.db import ProgrammingError, connection
from django.db.migrations.loader import MigrationLoader
from django.http import HttpRequest, HttpResponse
from django.urls import get_script_prefix
from rest_framework.response import Response

from core import error_pages, json_writer, redis_client
from core.database import liveness
from core.error_pages import prefers_html
from core.errors import DATABASE_AWAY
from core.views import PublicView
from gateway import metrics as gateway_metrics
from gateway import tokens
from gateway.errors import OtherAPI, UnknownEndpoint
from gateway.protocols import is_of_another, openai, protocol_meant
from llmring_site.pages.home import redirect_from_root
from llmring_site.schemas import (
    DatabaseState,
    Health,
    Live,
    NotReady,
    Ready,
    RegistryState,
    Service,
)
from registry_proxy.current_registry import are_old, current

# For a database that restarts. Other requests wait longer, but health checks are repeated, and
# give up early: `llmring-server health` after five seconds.
_WAIT_SECONDS = 4


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Say what is wrong to SDKs with a wrong base URL: they show nothing but `error.message`."""
    members = {}
    path = tokens.hidden(request.path_info)
    if is_of_another(path):
        members = openai.error_body(OtherAPI(request.method, path))
    elif protocol := protocol_meant(request.path_info):
        advice = ". The base URL of the gateway ends with /v1"
        members = protocol.error_body(UnknownEndpoint(request.method, path, advice))
    return error_pages.error(request, 404, members=members)


class ServiceView(PublicView):
    tags = ["service"]
    replies = {"get": Service}

    def get(self, request):
        """Describe the service and its addresses

        A browser, which prefers pages, is sent to the home of the person's project, or to the
        login.
        """
        if prefers_html(request):
            return redirect_from_root(request)
        # There is a prefix behind a proxy, or if mounted in another application.
        prefix = get_script_prefix().rstrip("/")
        service = Service.below(prefix, version=settings.VERSION, timestamp=_now())
        return Response(service.model_dump(), headers={"Vary": "Accept"})


class HealthView(PublicView):
    tags = ["service"]
    replies = {"get": {200: Health, 503: Health}}
    reply_examples = {"get": {503: {"status": "unhealthy", "database": "disconnected"}}}
    is_limited = False

    def get(self, request):
        """Check the service, its database and its cache

        503 with the same body while the database is unavailable or lacks migrations.
        """
        state = _database_state()
        health = Health(
            status="healthy" if state.is_usable else "unhealthy",
            redis=_redis_state(),
            registry=_registry_state(),
            version=settings.VERSION,
            timestamp=_now(),
            **state.model_dump(),
        )
        return Response(
            health.model_dump(exclude_none=True), status=200 if state.is_usable else 503
        )


class LiveView(PublicView):
    tags = ["service"]
    replies = {"get": Live}
    is_limited = False

    def get(self, request):
        """Check that the process answers"""
        return Response(Live().model_dump())


class ReadyView(PublicView):
    tags = ["service"]
    replies = {"get": {200: Ready, 503: NotReady}}
    is_limited = False

    def get(self, request):
        """Check that requests can be served"""
        state = _database_state()
        if state.is_usable:
            return Response(Ready().model_dump())
        not_ready = NotReady(**state.model_dump())
        return Response(not_ready.model_dump(exclude_none=True), status=503)


class PrometheusView(PublicView):
    is_limited = False
    schema = None  # docs/gateway.md describes it

    def get(self, request):
        """Return the metrics as text"""
        body, content_type = gateway_metrics.as_text(request.headers.get("Accept", ""))
        return HttpResponse(body, content_type=content_type)


class MetricsView(PrometheusView):
    def get(self, request):
        """Return the metrics as text, or llm-proxy's figures where JSON is asked for"""
        if request.get_preferred_type(["text/plain", "application/json"]) == "application/json":
            body = json_writer.dumps(gateway_metrics.as_json())
            return HttpResponse(body, content_type="application/json")
        return super().get(request)


def _database_state() -> DatabaseState:
    try:
        if connection.connection is None and connection.pool:
            liveness.require(connection.pool, seconds=_WAIT_SECONDS)
        with connection.cursor() as cursor:
            cursor.execute("SELECT app, name FROM django_migrations")
            applied = set(cursor.fetchall())
    except ProgrammingError:  # the table does not exist yet
        applied = set()
    except DATABASE_AWAY:
        return DatabaseState(database="disconnected")
    is_migrated = _known_migrations() <= applied
    return DatabaseState(database="connected", migrations=None if is_migrated else "pending")


@functools.cache
def _known_migrations() -> frozenset[tuple[str, str]]:
    """Return app and name of every migration of this version."""
    return frozenset(MigrationLoader(None).disk_migrations)


def _registry_state() -> RegistryState | None:
    snapshot = current.in_memory()
    return snapshot and RegistryState(
        snapshot=snapshot.name,
        prices_made_at=snapshot.prices_made_at,
        prices_are_old=are_old(snapshot.prices_made_at, now=datetime.now(UTC)),
    )


def _redis_state() -> str:
    """Return `disabled`, `connected` or `disconnected`."""
    if not settings.REDIS_URL:
        return "disabled"
    cache.set("health", 1, 5)  # ignores errors, but records them in `presence`
    return "disconnected" if redis_client.presence.is_away else "connected"
