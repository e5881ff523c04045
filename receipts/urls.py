from django.urls import re_path

from receipts import views

urlpatterns = [
    re_path(r"^receipts/public-key\.pem/?$", views.PublicKeyPemView.as_view(), name="receipts-pem"),
    re_path(r"^receipts/public-key\.jwk/?$", views.PublicKeyJwkView.as_view(), name="receipts-jwk"),
    re_path(
        r"^receipts/public-keys\.json/?$", views.PublicKeyListView.as_view(), name="receipts-keys"
    ),
    re_path(
        r"^api/v1/receipts/public-key\.pem/?$",
        views.PublicKeyPemView.as_view(content_type="application/x-pem-file"),
        name="receipts-api-pem",
    ),
    re_path(
        r"^api/v1/receipts/public-keys\.json/?$",
        views.PublicKeyDocumentView.as_view(),
        name="receipts-api-keys",
    ),
    re_path(r"^api/v1/receipts/?$", views.ReceiptsView.as_view(), name="receipts"),
    re_path(r"^api/v1/receipts/issue/?$", views.IssueView.as_view(), name="receipts-issue"),
    re_path(r"^api/v1/receipts/verify/?$", views.VerifyView.as_view(), name="receipts-verify"),
    re_path(
        r"^api/v1/receipts/generate/?$", views.GenerateView.as_view(), name="receipts-generate"
    ),
    re_path(r"^api/v1/receipts/preview/?$", views.PreviewView.as_view(), name="receipts-preview"),
    re_path(
        r"^api/v1/receipts/uncertified/?$",
        views.UncertifiedView.as_view(),
        name="receipts-uncertified",
    ),
    # An id is the issuer's: it may hold anything but NUL, slashes too.
    re_path(
        r"^api/v1/receipts/(?P<receipt_id>[^\0]+?)/logs/?$",
        views.ReceiptLogsView.as_view(),
        name="receipt-logs",
    ),
    re_path(
        r"^api/v1/receipts/(?P<receipt_id>[^\0]+?)/?$", views.ReceiptView.as_view(), name="receipt"
    ),
]
