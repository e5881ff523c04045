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
    # DRF's OPTIONS would render the view's description with the template of the page.
    options = View.options


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
