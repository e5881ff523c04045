"""The whole URL map. Every API path is served with and without a trailing slash."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import (
    SpectacularJSONAPIView,
    SpectacularRedocView,
    SpectacularSwaggerView,
)

from conversations.models import Conversation
from conversations.urls import urlpatterns as conversation_urls
from core import errors
from core.edge import Route
from llmring_site import views
from receipts import call_receipts
from usage.urls import urlpatterns as usage_urls

_PUBLIC = {"authentication_classes": [], "permission_classes": []}
_CONVERSATIONS = conversation_urls(receipt_issuer=call_receipts.issuer)

urlpatterns = [
    path("", views.ServiceView.as_view(), name="service"),
    re_path(r"^health/?$", views.HealthView.as_view(), name="health"),
    re_path(r"^live/?$", views.LiveView.as_view(), name="live"),
    re_path(r"^ready/?$", views.ReadyView.as_view(), name="ready"),
    re_path(r"^openapi\.json$", SpectacularJSONAPIView.as_view(**_PUBLIC), name="openapi"),
    re_path(
        r"^docs/?$", SpectacularSwaggerView.as_view(url_name="openapi", **_PUBLIC), name="docs"
    ),
    re_path(
        r"^redoc/?$", SpectacularRedocView.as_view(url_name="openapi", **_PUBLIC), name="redoc"
    ),
    path("admin", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("", include("registry_proxy.urls")),
    path("api/v1/", include(usage_urls(owned_conversations=Conversation.objects.owned_ids))),
    path("api/v1/", include("aliases.urls")),
    path("api/v1/", include("templates_app.urls")),
    # Clients use both prefixes, one and the same client included.
    path("", include(_CONVERSATIONS)),
    path("api/v1/", include(_CONVERSATIONS)),
    path("", include("receipts.urls")),
    path("", include("mcp.urls")),
]

handler400 = errors.bad_request
handler403 = errors.permission_denied
handler404 = errors.not_found
handler500 = errors.server_error

# Served by the edge (core/edge.py), in front of the views of the same paths.
EDGE_ROUTES: list[Route] = []
