from django.urls import re_path

from usage import views

urlpatterns = [
    re_path(r"^log/?$", views.LogView.as_view(), name="usage-log"),
    re_path(r"^log/batch/?$", views.LogBatchView.as_view(), name="usage-log-batch"),
    re_path(r"^stats/?$", views.StatsView.as_view(), name="usage-stats"),
    re_path(r"^logs/?$", views.LogsView.as_view(), name="usage-logs"),
    re_path(r"^logs/export/?$", views.ExportView.as_view(), name="usage-export"),
]
