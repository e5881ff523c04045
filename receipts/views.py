from django.http import Http404, HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from orjson import Fragment
from rest_framework.response import Response

from core import bridge
from core.errors import DomainError
from core.idempotency import IDEMPOTENCY_KEY, idempotent
from core.views import PublicView, SchemaView
from core.viewsets import ScopedModelViewSet
from receipts import (
    batch,
    endpoints,
    log_pages,
    reply_schemas,
    schemas,
    server_keys,
    services,
)
from receipts.keys import PublicKey
from receipts.models import Receipt
from registry_proxy import pricing

_TAGS = ["receipts"]
_PAGE = {"get": schemas.ReceiptPageQuery}


class ReceiptNotAccessible(DomainError):
    status_code = 404
    code = "receipt_not_found"

    def __init__(self) -> None:
        super().__init__("Receipt not found or access denied")


class PublicKeyNotConfigured(DomainError):
    status_code = 404
    code = "no_public_key"

    def __init__(self) -> None:
        super().__init__("Public key not configured")


_CORRECTED_BY = OpenApiParameter(
    "X-Corrected-By",
    str,
    OpenApiParameter.HEADER,
    response=[200],
    description="Ids of reversals, separated by commas.",
)


class ReceiptViewSet(ScopedModelViewSet):
    queryset = Receipt.objects.all()
    reply = reply_schemas.Receipt
    bodies = {"create": schemas.ReceiptToStore}
    headers = {"create": [IDEMPOTENCY_KEY], "retrieve": [_CORRECTED_BY]}
    queries = {"list": schemas.ReceiptPageQuery, "logs": schemas.ReceiptPageQuery}
    replies = {
        "list": reply_schemas.ReceiptPage,
        "create": reply_schemas.StoredReceipt,
        "logs": reply_schemas.CertifiedLogPage,
    }
    tags = _TAGS
    unique_members = True
    not_found = "Receipt not found"
    lookup_url_kwarg = "receipt_id"
    # An id is the issuer's: it may hold anything but NUL, slashes too.
    lookup_value_regex = r"[^\x00]+?"

    def get_object(self):
        """Return the receipt that the path names. Raises Http404."""
        receipt = self.get_queryset().filter(receipt_id=self.kwargs["receipt_id"]).first()
        if receipt is None:
            raise Http404(self.not_found)
        return receipt

    @extend_schema(operation_id="api_v1_receipts_list")  # its reply is not a bare list
    def list(self, request):
        """List stored receipts, newest first

        Documents are returned byte for byte as stored.
        """
        receipts, query = self.get_queryset(), self.query
        page = receipts[query.offset : query.offset + query.limit]
        return Response(
            {
                "receipts": [_verbatim(receipt) for receipt in page],
                "total": log_pages.bounded_count(receipts, query.offset + query.limit),
                **query.model_dump(),
            }
        )

    @idempotent(before=pricing.load)
    def create(self, request):
        """Store a receipt

        Bare, or wrapped in `receipt`. A signed one is verified first; one without
        `signature` is completed, signed and stored. Storing the same document again
        succeeds; a different one under its id is 409.
        """
        receipt, status = services.store(self.body, request.auth)
        return Response(
            {
                "receipt_id": receipt.receipt_id,
                "status": status,
                "signature": receipt.content["signature"],
            }
        )

    def retrieve(self, request, receipt_id):
        """Get a stored receipt, byte for byte

        If logs that it certifies were corrected since, `X-Corrected-By` has the ids of
        the reversals (the first 20).
        """
        receipt = self.get_object()
        reversals = log_pages.first_reversals(receipt)
        headers = {_CORRECTED_BY.name: ", ".join(map(str, reversals))} if reversals else {}
        return Response(_verbatim(receipt), headers=headers)

    def logs(self, request, receipt_id):
        """List the logs that a receipt certifies"""
        query = self.query
        receipt = self.get_queryset().filter(receipt_id=receipt_id).first()
        if receipt is None:
            raise ReceiptNotAccessible
        return Response(log_pages.certified_page(receipt, **query.model_dump()))


def _verbatim(receipt: Receipt) -> Fragment:
    return Fragment(receipt.document.encode())


class IssueView(SchemaView):
    bodies = {"post": schemas.ReceiptDraft}
    replies = {"post": reply_schemas.Receipt}
    tags = _TAGS
    unique_members = True

    def post(self, request):
        """Sign a receipt without storing it

        The nested form has `id`, `tokens` and `cost`, the flat one `prompt_tokens` and the
        like. Plain usage details (`model` and the provider's `usage`, or counts) become a
        nested receipt. Without an amount it is priced from the registry.
        """
        reply = bridge.run(endpoints.issue(request.auth, self.body))
        return Response(Fragment(reply.body))


class VerifyView(PublicView):
    bodies = {"post": schemas.SignedReceipt}
    replies = {"post": reply_schemas.Verdict}
    tags = _TAGS
    unique_members = True

    def post(self, request):
        """Verify a receipt

        Needs no key. `reason` explains why a receipt is not valid.
        """
        return Response(bridge.run(endpoints.verify(self.body)))


class GenerateView(SchemaView):
    bodies = {"post": schemas.GenerationRequest}
    headers = {"post": [IDEMPOTENCY_KEY]}
    unique_members = True
    replies = {"post": reply_schemas.GeneratedReceipt}
    tags = _TAGS

    @idempotent(before=pricing.load)
    def post(self, request):
        """Certify logs with one receipt

        Sums the selected calls and conversations, signs the result and stores it.
        `since_last_receipt` selects what no receipt has certified yet, each log once,
        also when requests race.
        """
        signed, count = batch.generate(self.body, request.auth)
        return Response({"receipt": Fragment(signed.text), "certified_count": count})


class PreviewView(SchemaView):
    bodies = {"post": schemas.GenerationRequest}
    unique_members = True
    replies = {"post": reply_schemas.ReceiptPreview}
    tags = _TAGS

    def post(self, request):
        """Preview a generated receipt"""
        return Response(batch.preview(self.body, request.auth))


class UncertifiedView(SchemaView):
    queries = _PAGE
    replies = {"get": reply_schemas.UncertifiedLogPage}
    tags = _TAGS

    def get(self, request):
        """List logs that no receipt has certified yet"""
        return Response(log_pages.uncertified_page(request.auth, **self.query.model_dump()))


def _current() -> PublicKey:
    if (key := server_keys.configured().current) is None:
        raise PublicKeyNotConfigured
    return key


def _trusted() -> list[PublicKey]:
    if not (keys := server_keys.trusted()):
        raise PublicKeyNotConfigured
    return keys


_NO_KEY = {404: "No key is configured"}


class PublicKeyPemView(PublicView):
    content_type = "text/plain; charset=utf-8"
    replies = {"get": {"text/plain": str}}
    errors = {"get": _NO_KEY}
    tags = _TAGS

    def get(self, request):
        """Get the current public key as PEM

        SubjectPublicKeyInfo, as `openssl pkey -pubin` reads it.
        """
        return HttpResponse(_current().pem, content_type=self.content_type)


class PublicKeyPemFileView(PublicKeyPemView):
    content_type = "application/x-pem-file"
    replies = {"get": {"application/x-pem-file": str}}


class PublicKeyJwkView(PublicView):
    replies = {"get": reply_schemas.JsonWebKey}
    errors = {"get": _NO_KEY}
    tags = _TAGS

    def get(self, request):
        """Get the current public key as JWK"""
        return Response(_current().jwk)


class PublicKeyListView(PublicView):
    replies = {"get": list[reply_schemas.ListedKey]}
    errors = {"get": _NO_KEY}
    tags = _TAGS

    def get(self, request):
        """List all public keys, the current one first"""
        return Response(
            [
                {**key.jwk, "key_id": key.id, "public_key": key.text, "public_key_pem": key.pem}
                for key in _trusted()
            ]
        )


class PublicKeyDocumentView(PublicView):
    replies = {"get": reply_schemas.KeyDocument}
    errors = {"get": _NO_KEY}
    tags = _TAGS

    def get(self, request):
        """List all public keys, and the id of the current one"""
        keys, current = _trusted(), server_keys.configured().current
        return Response(
            {
                "keys": [
                    {
                        "key_id": key.id,
                        "public_key": key.text,
                        "algorithm": "Ed25519",
                        "format": "base64url",
                    }
                    for key in keys
                ],
                "current_key_id": current.id if current else None,
            }
        )
