from django.urls import re_path

from registry_proxy import views

_PROVIDER = r"(?P<provider>[^/]+)"

urlpatterns = [
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
