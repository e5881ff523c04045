"""The whole URL map. Every API path is served with and without a trailing slash."""

import re
from functools import partial

from django.conf import settings
from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView

from accounts.admin import ApiKeyAdmin
from accounts.permissions import Action
from accounts.urls import urlpatterns as account_urls
from conversations import endpoints
from conversations.calls import log_call
from conversations.models import Conversation
from conversations.schemas.calls import LoggedCall
from conversations.schemas.conversations import NewConversation, OpenQuery
from conversations.schemas.messages import NewMessage
from conversations.services import create_conversation
from conversations.urls import urlpatterns as conversation_urls
from core import error_pages
from core.edge import Route
from core.edge_request import Request
from core.idempotency import checked_idempotency_key
from core.scoping import Caller
from llmring_site import documentation, views
from llmring_site.dashboard import views as dashboard_views
from llmring_site.demo import views as demo_views
from receipts import call_receipts
from receipts.endpoints import issue, size_of, verify
from receipts.schemas import ReceiptDraft, SignedReceipt
from registry_proxy.views import serve_on_edge
from usage import ingestion, listing, statistics
from usage.key_usage import costs_of_keys, usage_of_keys
from usage.query_schemas import LogsQuery, StatsQuery
from usage.schemas import LogEntry
from usage.urls import urlpatterns as usage_urls

ApiKeyAdmin.usage_of_keys = staticmethod(usage_of_keys)
_CONVERSATIONS = conversation_urls(receipt_issuer=call_receipts.issuer)

_API = [
    path("", include(usage_urls(owned_conversations=Conversation.objects.owned_ids))),
    path("", include("aliases.urls")),
    path("", include("templates_app.urls")),
    path("", include(_CONVERSATIONS)),
]

# Routes of the API first: the patterns are tried in turn.
urlpatterns = [
    path("api/v1/", include(_API)),
    # Clients use both prefixes, some of them in one session.
    path("", include(_CONVERSATIONS)),
    path("", include("receipts.urls")),
    path("", include("mcp.urls")),
    path("manage/", include("gateway.urls")),
    path("", views.ServiceView.as_view(), name="service"),
    re_path(r"^health/?$", views.HealthView.as_view(), name="health"),
    re_path(r"^live/?$", views.LiveView.as_view(), name="live"),
    re_path(r"^ready/?$", views.ReadyView.as_view(), name="ready"),
    re_path(r"^openapi\.json/?$", documentation.DocumentView.as_view(), name="openapi"),
    re_path(r"^docs/?$", documentation.SwaggerView.as_view(), name="docs"),
    re_path(r"^redoc/?$", documentation.RedocView.as_view(), name="redoc"),
    path("admin", RedirectView.as_view(pattern_name="admin:index")),
    path(
        "admin/dashboard/calls/",
        admin.site.admin_view(dashboard_views.calls),
        name="dashboard-calls",
    ),
    path("admin/search/", admin.site.admin_view(dashboard_views.search)),
    path("admin/r/<path:address>", admin.site.admin_view(dashboard_views.view_on_site)),
    path("admin/demo/make/", admin.site.admin_view(demo_views.make), name="make-demo"),
    path("admin/demo/remove/", admin.site.admin_view(demo_views.remove), name="remove-demo"),
    path("admin/", admin.site.urls),
    path("", include(account_urls(costs_of_keys=costs_of_keys))),
    path("", include("llmring_site.pages.urls")),
    path("", include("registry_proxy.urls")),
]

if settings.ENABLE_METRICS:
    _METRICS = re.escape(settings.METRICS_PATH.removeprefix("/"))
    urlpatterns += [
        re_path(rf"^{_METRICS}/?$", views.MetricsView.as_view(), name="metrics"),
        re_path(
            rf"^{_METRICS}/prometheus/?$",
            views.PrometheusView.as_view(),
            name="metrics-prometheus",
        ),
    ]

handler400 = error_pages.bad_request
handler403 = error_pages.permission_denied
handler404 = views.not_found
handler500 = error_pages.server_error


def _request(request: Request) -> dict[str, Request]:
    return {"request": request}


def _idempotency_key(request: Request) -> dict[str, str | None]:
    return {"idempotency_key": checked_idempotency_key(request.headers.get("Idempotency-Key"))}


async def _log_call(caller: Caller, call: LoggedCall, *, is_small: bool) -> dict:
    return await log_call(caller, call, call_receipts.issuer(), is_small=is_small)


def _conversation_routes(prefix: str) -> list[Route]:
    conversations = f"{prefix}/conversations"
    one = f"{conversations}/{{conversation_id}}"
    post = partial(
        Route, "POST", unless="Idempotency-Key", access=Action.LOG, inputs=endpoints.size_of
    )
    return [
        post(conversations, create_conversation, body=NewConversation),
        post(f"{conversations}/log", _log_call, body=LoggedCall),
        Route("GET", one, endpoints.open_conversation, query=OpenQuery),
        post(f"{one}/messages", endpoints.append_message, body=NewMessage),
    ]


# Served by the edge (core/edge.py), in front of the views of the same paths.
EDGE_ROUTES = [
    Route("GET", "/registry", serve_on_edge, inputs=_request, is_public=True),
    Route("GET", "/registry.json", serve_on_edge, inputs=_request, is_public=True),
    Route(
        "POST",
        "/api/v1/log",
        partial(ingestion.log, owned_conversations=Conversation.objects.owned_ids),
        body=LogEntry,
        inputs=_idempotency_key,
        access=Action.LOG,
        stores_log=True,
    ),
    Route("GET", "/api/v1/logs", listing.logs, query=LogsQuery),
    Route("GET", "/api/v1/stats", statistics.stats, query=StatsQuery),
    Route(
        "POST",
        "/api/v1/receipts/issue",
        issue,
        body=ReceiptDraft,
        unique_members=True,
        inputs=size_of,
    ),
    Route(
        "POST",
        "/api/v1/receipts/verify",
        verify,
        body=SignedReceipt,
        unique_members=True,
        inputs=size_of,
        is_public=True,
    ),
    *_conversation_routes(""),
    *_conversation_routes("/api/v1"),
]
