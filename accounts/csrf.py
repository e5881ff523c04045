"""What protects requests that a browser's cookies speak for, and those that set them.

JSON without a content type is accepted here, which a page of another site can send without
being asked; so every such request shows where it comes from, or carries Django's token.
A request that a key authenticates ignores cookies and needs neither.
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
        super().__init__("CSRF check failed: the request's origin or its X-CSRFToken is missing")


def check(request: HttpRequest) -> None:
    """Raise CrossSite for a request to change something that another site may have caused.

    The page's origin must be this server's. Without any sign of a browser, a request with
    cookies needs Django's token; one without cookies has nothing to protect.
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
        _check_token(request)


def _own_origins(request: HttpRequest) -> set[str]:
    public = urlsplit(settings.PUBLIC_URL)
    return {f"{public.scheme}://{public.netloc}", f"{request.scheme}://{request.get_host()}"}


def _check_token(request: HttpRequest) -> None:
    checking = CSRFCheck(lambda request: None)
    checking.process_request(request)
    if checking.process_view(request, None, (), {}):
        raise CrossSite
