from django.urls import re_path

from conversations import views

_ONE = r"^conversations/(?P<conversation_id>[^/]+)"

urlpatterns = [
    re_path(r"^conversations/?$", views.ConversationsView.as_view()),
    re_path(r"^conversations/log/?$", views.CallView.as_view()),
    re_path(r"^conversations/old-messages/?$", views.OldMessagesView.as_view()),
    re_path(r"^conversations/export/?$", views.ExportView.as_view()),
    re_path(r"^conversations/import/?$", views.ImportView.as_view()),
    re_path(rf"{_ONE}/?$", views.ConversationView.as_view()),
    re_path(rf"{_ONE}/export/?$", views.ConversationExportView.as_view()),
    re_path(rf"{_ONE}/messages/?$", views.MessagesView.as_view()),
    re_path(rf"{_ONE}/messages/batch/?$", views.MessageBatchView.as_view()),
]
