from django.urls import re_path

from aliases import views

urlpatterns = [
    re_path(r"^aliases/?$", views.AliasesView.as_view(), name="aliases"),
    re_path(r"^aliases/bind/?$", views.BindView.as_view(), name="aliases-bind"),
    re_path(r"^aliases/resolve/?$", views.ResolveView.as_view(), name="aliases-resolve"),
    re_path(r"^aliases/bulk_upsert/?$", views.BulkView.as_view(), name="aliases-bulk"),
    re_path(r"^aliases/export/?$", views.ExportView.as_view(), name="aliases-export"),
    # An alias may have slashes inside.
    re_path(r"^aliases/(?P<alias>[^\x00]+?)/?$", views.AliasView.as_view(), name="alias"),
]
