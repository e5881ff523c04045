"""Removing cached answers."""

from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from rest_framework.decorators import action
from rest_framework.response import Response

from core.errors import DomainError
from gateway import response_cache
from gateway.models import CachedAnswer
from gateway.request import paths
from gateway.schemas.response_cache import Purge, Purged
from gateway.views.management import ManagementViewSet


class CacheOff(DomainError):
    code = "caching_disabled"

    def __init__(self) -> None:
        super().__init__("caching is disabled: HTTP_CACHE_ENABLED is off")


class InvalidAddress(DomainError):
    code = "invalid_url"

    def __init__(self) -> None:
        super().__init__("invalid URL")


class CacheViewSet(ManagementViewSet):
    queryset = CachedAnswer.objects.all()
    resource = "cache"
    verbs = {"purge": "purge"}
    bodies = {"purge": Purge}
    replies = {"purge": Purged}
    reply = Purged

    @action(detail=False, methods=["post"])
    def purge(self, request):
        """Remove cached answers, of all projects

        Those to an address, whatever was posted there, or to all that begin with `prefix`.
        """
        if not settings.GATEWAY_CACHE:
            raise CacheOff
        body = self.body
        with transaction.atomic():
            if body.prefix:
                deleted = response_cache.purge_below(body.method, body.prefix)
            else:
                deleted = bool(response_cache.purge(body.method, _address(body.url)))
            what = {"method": body.method, "url": body.prefix or body.url}
            self.record(purged=what, deleted=deleted)
        return Response({"deleted": deleted})


def _address(url: str) -> str:
    """Return path and query of an address as they are stored. Raises InvalidAddress."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise InvalidAddress from None
    if not parts.path.startswith("/"):
        raise InvalidAddress
    return paths.canonical(parts.path) + (f"?{parts.query}" if parts.query else "")
