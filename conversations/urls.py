from collections.abc import Callable

from django.urls import URLPattern, re_path

from conversations import views
from conversations.calls import IssueReceipt

_ONE = r"^conversations/(?P<conversation_id>[^/]+)"


def urlpatterns(*, receipt_issuer: Callable[[], IssueReceipt | None]) -> list[URLPattern]:
    """Return the routes; `receipt_issuer` returns None while no signing key is configured."""
    return [
        re_path(r"^conversations/?$", views.ConversationsView.as_view()),
        re_path(
            r"^conversations/log/?$",
            views.CallView.as_view(receipt_issuer=receipt_issuer),
        ),
        re_path(r"^conversations/old-messages/?$", views.OldMessagesView.as_view()),
        re_path(r"^conversations/export/?$", views.ExportView.as_view()),
        re_path(r"^conversations/import/?$", views.ImportView.as_view()),
        re_path(rf"{_ONE}/?$", views.ConversationView.as_view()),
        re_path(rf"{_ONE}/export/?$", views.ConversationExportView.as_view()),
        re_path(rf"{_ONE}/messages/?$", views.MessagesView.as_view()),
        re_path(rf"{_ONE}/messages/batch/?$", views.MessageBatchView.as_view()),
    ]
