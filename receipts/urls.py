from django.urls import re_path

from core.viewsets import Router
from receipts import views

router = Router()
router.register("api/v1/receipts", views.ReceiptViewSet, basename="receipt")

# The router's path of one receipt matches everything below /receipts, so it comes last.
urlpatterns = [
    re_path(r"^receipts/public-key\.pem/?$", views.PublicKeyPemView.as_view(), name="receipts-pem"),
    re_path(r"^receipts/public-key\.jwk/?$", views.PublicKeyJwkView.as_view(), name="receipts-jwk"),
    re_path(
        r"^receipts/public-keys\.json/?$", views.PublicKeyListView.as_view(), name="receipts-keys"
    ),
    re_path(
        r"^api/v1/receipts/public-key\.pem/?$",
        views.PublicKeyPemFileView.as_view(),
        name="receipts-api-pem",
    ),
    re_path(
        r"^api/v1/receipts/public-keys\.json/?$",
        views.PublicKeyDocumentView.as_view(),
        name="receipts-api-keys",
    ),
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
    re_path(
        r"^api/v1/receipts/(?P<receipt_id>[^\x00]+?)/logs/?$",
        views.ReceiptViewSet.as_view({"get": "logs"}),
        name="receipt-logs",
    ),
    *router.urls,
]
