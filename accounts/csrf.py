"""CSRF protection of requests that cookies authenticate, and of those that set cookies.

JSON is accepted without a content type, which pages of other sites can send without a
preflight. So such a request needs this server's origin, or Django's token. Requests with a
key ignore cookies, and need neither.
"""

from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from rest_framework.authentication import CSRFCheck
from rest_framework.permissions import SAFE_METHODS

from core.errors import DomainError


class CrossSite(DomainError):
    status_code = 403
    code = "cross_site"

    def __init__(self) -> None:
        super().__init__(
            "CSRF check failed: the request's origin or X-CSRFToken is missing or wrong"
        )


def check(request: HttpRequest) -> None:
    """Raise CrossSite for an unsafe request that another site may have caused.

    The page's origin must be this server's. If the browser does not state an origin, a request
    with cookies needs Django's token; one without cookies has nothing to protect.
    """
    if request.method in SAFE_METHODS or getattr(request, "_dont_enforce_csrf_checks", False):
        return
    origin = request.META.get("HTTP_ORIGIN")
    if origin is not None:
        if origin not in _own_origins(request):
            raise CrossSite
        return
    site = request.META.get("HTTP_SEC_FETCH_SITE")
    if site is not None and site not in ("same-origin", "none"):
        raise CrossSite
    if site == "same-origin":
        return
    if request.COOKIES.get(settings.SESSION_COOKIE_NAME) or "HTTP_REFERER" in request.META:
        require_token(request)


def _own_origins(request: HttpRequest) -> set[str]:
    public = urlsplit(settings.PUBLIC_URL)
    return {f"{public.scheme}://{public.netloc}", f"{request.scheme}://{request.get_host()}"}


def require_token(request: HttpRequest) -> None:
    """Raise CrossSite for an unsafe request without Django's token, or from another origin."""
    checking = CSRFCheck(lambda request: None)
    checking.process_request(request)
    if checking.process_view(request, None, (), {}):
        raise CrossSite
