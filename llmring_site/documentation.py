"""The OpenAPI document, and the pages that show it."""

from django.views import View
from drf_spectacular.views import (
    SpectacularJSONAPIView,
    SpectacularRedocView,
    SpectacularSwaggerView,
)


class _Public:
    authentication_classes = ()
    permission_classes = ()
    # DRF would render what it says of the view or of the error with the template of the page.
    options = View.options
    http_method_not_allowed = View.http_method_not_allowed


class DocumentView(_Public, SpectacularJSONAPIView):
    pass


class SwaggerView(_Public, SpectacularSwaggerView):
    url_name = "openapi"

    def finalize_response(self, request, response, *args, **kwargs):
        # drf-spectacular opens it for windows of OAuth logins, of which this page has none.
        response.headers.pop("Cross-Origin-Opener-Policy", None)
        return super().finalize_response(request, response, *args, **kwargs)


class RedocView(_Public, SpectacularRedocView):
    url_name = "openapi"
