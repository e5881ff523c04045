from django.urls import URLPattern, re_path

from usage import views
from usage.log_rows import OwnedConversations


def urlpatterns(*, owned_conversations: OwnedConversations) -> list[URLPattern]:
    log = views.LogView.as_view(owned_conversations=owned_conversations)
    batch = views.LogBatchView.as_view(owned_conversations=owned_conversations)
    correct = views.CorrectView.as_view(owned_conversations=owned_conversations)
    return [
        re_path(r"^log/?$", log, name="usage-log"),
        re_path(r"^log/batch/?$", batch, name="usage-log-batch"),
        re_path(r"^stats/?$", views.StatsView.as_view(), name="usage-stats"),
        re_path(r"^logs/?$", views.LogsView.as_view(), name="usage-logs"),
        re_path(r"^logs/(?P<log_id>[^/]+)/correct/?$", correct, name="usage-correct"),
        re_path(r"^logs/(?P<log_id>[^/]+)/void/?$", views.VoidView.as_view(), name="usage-void"),
        re_path(r"^logs/export/?$", views.ExportView.as_view(), name="usage-export"),
    ]
