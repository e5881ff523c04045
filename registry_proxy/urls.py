from django.urls import re_path

from core.viewsets import Router
from registry_proxy import views
from registry_proxy.price_views import PriceViewSet

_PROVIDER = r"(?P<provider>[^/]+)"

prices = Router()
prices.register("api/v1/prices", PriceViewSet, basename="prices")

urlpatterns = [
    *prices.urls,
    re_path(r"^registry/?$", views.RegistryView.as_view(), name="registry"),
    re_path(r"^registry\.json/?$", views.RegistryFileView.as_view(), name="registry-file"),
    re_path(
        r"^registry/v/(?P<version>[^/]+)/registry\.json/?$",
        views.VersionView.as_view(),
        name="registry-version",
    ),
    re_path(r"^registry/changelog/?$", views.ChangelogView.as_view(), name="registry-changelog"),
    # A client may use this server as its registry: the same files under the same names.
    re_path(r"^registry/manifest\.json/?$", views.ManifestView.as_view(), name="registry-manifest"),
    re_path(
        rf"^registry/{_PROVIDER}/models\.json/?$",
        views.ProviderView.as_view(),
        name="registry-provider",
    ),
    re_path(
        rf"^registry/{_PROVIDER}/v/(?P<number>[^/]+)/models\.json/?$",
        views.ArchiveView.as_view(),
        name="registry-archive",
    ),
]
