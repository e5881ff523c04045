from collections.abc import Callable

from django.urls import URLPattern, re_path

from conversations.calls import IssueReceipt
from conversations.views import CallView, ConversationViewSet
from core.viewsets import Router


def urlpatterns(*, receipt_issuer: Callable[[], IssueReceipt | None]) -> list[URLPattern]:
    """Return the routes; `receipt_issuer` returns None while no signing key is configured."""
    router = Router()
    router.register("conversations", ConversationViewSet, basename="conversations")
    log = re_path(r"^conversations/log/?$", CallView.as_view(receipt_issuer=receipt_issuer))
    return [log, *router.urls]
