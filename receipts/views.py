from django.http import Http404, HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, PolymorphicProxySerializer, extend_schema
from orjson import Fragment
from rest_framework.response import Response
from rest_framework.views import APIView

from core.errors import DomainError
from core.views import PublicView
from receipts import (
    batch,
    bodies,
    drafts,
    examples,
    selection,
    server_keys,
    services,
    verification,
)
from receipts.models import Receipt
from receipts.serializers import (
    FlatDraft,
    GenerationSerializer,
    NestedDraft,
    ReceiptPageQuery,
    SignedFlat,
    SignedNested,
)

_DRAFT = PolymorphicProxySerializer(
    component_name="ReceiptDraft",
    serializers={"nested": NestedDraft, "flat": FlatDraft},
    resource_type_field_name=None,
)
_SIGNED = PolymorphicProxySerializer(
    component_name="SignedReceipt",
    serializers={"nested": SignedNested, "flat": SignedFlat},
    resource_type_field_name=None,
)


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


def _verbatim(receipt: Receipt) -> Fragment:
    return Fragment(receipt.document.encode())


class ReceiptsView(APIView):
    parser_classes = [bodies.ReceiptParser]

    @extend_schema(
        operation_id="api_v1_receipts_list",
        tags=["receipts"],
        summary="List stored receipts, newest first",
        description="Each in the form and with every byte of its document as it was stored.",
        parameters=[ReceiptPageQuery],
        responses=OpenApiTypes.OBJECT,
        examples=[
            OpenApiExample(
                "a page", {"receipts": [examples.NESTED], "total": 1, "limit": 100, "offset": 0}
            )
        ],
    )
    def get(self, request):
        query = ReceiptPageQuery.read(request)
        receipts = Receipt.objects.for_caller(request.auth)
        page = receipts[query["offset"] : query["offset"] + query["limit"]]
        reply = {"receipts": [_verbatim(receipt) for receipt in page], "total": receipts.count()}
        return Response({**reply, **query})

    @extend_schema(
        tags=["receipts"],
        summary="Store a receipt",
        description=(
            "Wrapped in `receipt` or bare. A signed one is verified first; one without "
            "`signature` is completed, signed and stored. The same document again is fine, a "
            "different one under its id is 409."
        ),
        request=_SIGNED,
        responses=OpenApiTypes.OBJECT,
        examples=[
            OpenApiExample("signed", {"receipt": examples.NESTED}, request_only=True),
            OpenApiExample(
                "stored",
                {
                    "receipt_id": examples.NESTED["id"],
                    "status": "verified",
                    "signature": examples.NESTED["signature"],
                },
                response_only=True,
            ),
        ],
    )
    def post(self, request):
        receipt, place = bodies.receipt_in(request.data, required=True)
        if receipt.get("signature") is None:
            stored = services.store_draft(receipt, place, request.auth)
            status = "issued"
        else:
            members = bodies.checked_signed(receipt, place)
            stored = services.store_signed(receipt, members, request.auth)
            status = "verified"
        return Response(
            {
                "receipt_id": stored.receipt_id,
                "status": status,
                "signature": stored.content["signature"],
            }
        )


class ReceiptView(APIView):
    @extend_schema(
        tags=["receipts"],
        summary="A stored receipt, verbatim",
        responses=OpenApiTypes.OBJECT,
        examples=[OpenApiExample("nested", examples.NESTED)],
    )
    def get(self, request, receipt_id):
        receipt = Receipt.objects.for_caller(request.auth).filter(receipt_id=receipt_id).first()
        if receipt is None:
            raise Http404("Receipt not found")
        return Response(_verbatim(receipt))


class IssueView(APIView):
    parser_classes = [bodies.ReceiptParser]

    @extend_schema(
        tags=["receipts"],
        summary="Sign a receipt without storing it",
        description=(
            "With `id`, `tokens` and `cost` in the nested form, with `prompt_tokens` and the "
            "like in the flat one; plain usage details (`model`, `input_tokens`, "
            "`output_tokens`) become a nested receipt. Without an amount the registry's prices "
            "make one."
        ),
        request=_DRAFT,
        responses=OpenApiTypes.OBJECT,
        examples=[
            OpenApiExample("amount left to the registry", examples.DRAFT, request_only=True),
            OpenApiExample("signed", examples.NESTED, response_only=True),
        ],
    )
    def post(self, request):
        draft, place = bodies.receipt_in(request.data)
        signed = drafts.issue_receipt(draft, place, server_keys.signing_key())
        return Response(Fragment(signed.text))


class VerifyView(PublicView):
    parser_classes = [bodies.ReceiptParser]

    @extend_schema(
        tags=["receipts"],
        summary="Whether a receipt is genuine",
        description="Needs no key. `reason` says why a receipt is not valid.",
        request=_SIGNED,
        responses=OpenApiTypes.OBJECT,
        examples=[
            OpenApiExample("a receipt", examples.NESTED, request_only=True),
            OpenApiExample(
                "valid",
                {
                    "receipt_id": examples.NESTED["id"],
                    "valid": True,
                    "algorithm": "Ed25519",
                    "key_id": examples.NESTED["key_id"],
                },
                response_only=True,
            ),
        ],
    )
    def post(self, request):
        receipt, place = bodies.receipt_in(request.data)
        bodies.checked_signed(receipt, place)
        return Response(verification.verdict(receipt, server_keys.trusted()))


class GenerateView(APIView):
    @extend_schema(
        tags=["receipts"],
        summary="Certify logs with one receipt",
        description=(
            "Sums the chosen calls and conversations, signs all of it and stores it. "
            "`since_last_receipt` takes what no receipt has certified yet, each log once, "
            "also when requests race."
        ),
        request=GenerationSerializer,
        responses=OpenApiTypes.OBJECT,
        examples=[
            OpenApiExample("everything new", examples.GENERATION, request_only=True),
            OpenApiExample(
                "certified", {"receipt": examples.BATCH, "certified_count": 2}, response_only=True
            ),
        ],
    )
    def post(self, request):
        signed, count = batch.generate(
            bodies.checked(GenerationSerializer, request.data, ["body"]), request.auth
        )
        return Response({"receipt": Fragment(signed.text), "certified_count": count})


class PreviewView(APIView):
    @extend_schema(
        tags=["receipts"],
        summary="What a generated receipt would say",
        request=GenerationSerializer,
        responses=OpenApiTypes.OBJECT,
        examples=[
            OpenApiExample("everything new", examples.GENERATION, request_only=True),
            OpenApiExample("sums", examples.PREVIEW, response_only=True),
        ],
    )
    def post(self, request):
        return Response(
            batch.preview(
                bodies.checked(GenerationSerializer, request.data, ["body"]), request.auth
            )
        )


class UncertifiedView(APIView):
    @extend_schema(
        tags=["receipts"],
        summary="Logs that no receipt has certified yet",
        parameters=[ReceiptPageQuery],
        responses=OpenApiTypes.OBJECT,
        examples=[
            OpenApiExample(
                "a page", {"logs": [examples.LOG], "total": 1, "limit": 100, "offset": 0}
            )
        ],
    )
    def get(self, request):
        return Response(selection.uncertified_page(request.auth, **ReceiptPageQuery.read(request)))


class ReceiptLogsView(APIView):
    @extend_schema(
        tags=["receipts"],
        summary="The logs that a receipt certifies",
        parameters=[ReceiptPageQuery],
        responses=OpenApiTypes.OBJECT,
        examples=[
            OpenApiExample(
                "a page",
                {
                    "receipt_id": examples.BATCH["receipt_id"],
                    "logs": [examples.LOG],
                    "total": 1,
                    "limit": 100,
                    "offset": 0,
                },
            )
        ],
    )
    def get(self, request, receipt_id):
        query = ReceiptPageQuery.read(request)
        receipt = Receipt.objects.for_caller(request.auth).filter(receipt_id=receipt_id).first()
        if receipt is None:
            raise ReceiptNotAccessible
        return Response(selection.certified_page(receipt, **query))


def _current():
    if (key := server_keys.configured().current) is None:
        raise PublicKeyNotConfigured
    return key


def _all():
    if not (keys := server_keys.trusted()):
        raise PublicKeyNotConfigured
    return keys


class PublicKeyPemView(PublicView):
    content_type = "text/plain; charset=utf-8"

    @extend_schema(
        tags=["receipts"],
        summary="The current public key as PEM",
        description="SubjectPublicKeyInfo, as `openssl pkey -pubin` reads it.",
        responses={(200, "text/plain"): str},
    )
    def get(self, request):
        return HttpResponse(_current().pem, content_type=self.content_type)


class PublicKeyJwkView(PublicView):
    @extend_schema(
        tags=["receipts"],
        summary="The current public key as JWK",
        responses=OpenApiTypes.OBJECT,
        examples=[OpenApiExample("a key", examples.JWK)],
    )
    def get(self, request):
        return Response(_current().jwk)


class PublicKeyListView(PublicView):
    @extend_schema(
        tags=["receipts"],
        summary="Every public key that verifies, the current one first",
        responses=OpenApiTypes.OBJECT,
        examples=[OpenApiExample("one key", [examples.JWK])],
    )
    def get(self, request):
        return Response(
            [
                {**key.jwk, "key_id": key.id, "public_key": key.text, "public_key_pem": key.pem}
                for key in _all()
            ]
        )


class PublicKeyDocumentView(PublicView):
    @extend_schema(
        tags=["receipts"],
        summary="Every public key that verifies, and which is current",
        responses=OpenApiTypes.OBJECT,
        examples=[OpenApiExample("one key", examples.KEY_DOCUMENT)],
    )
    def get(self, request):
        keys, current = _all(), server_keys.configured().current
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
