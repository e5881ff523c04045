from django.http import Http404, HttpResponse
from django.utils.http import parse_etags
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from aliases import binding, lockfile
from aliases.binding import Binding
from aliases.lockfile import DEFAULT_PROFILE
from aliases.models import AliasBinding, AliasRevision
from aliases.serializers import (
    AliasesQuery,
    AliasSerializer,
    BindSerializer,
    BulkItemSerializer,
    BulkSerializer,
    ChangeSerializer,
    ExportQuery,
    ProfileQuery,
    PutSerializer,
    ResolvedSerializer,
    ResolveQuery,
)
from core.errors import InvalidInput

_TAGS = ["aliases"]
_ALIAS = {
    "id": 1,
    "project_id": "0193b1a2-0000-7000-8000-000000000001",
    "profile": "default",
    "alias": "summarizer",
    "model": "openai:gpt-4o-mini",
    "metadata": None,
    "revision": 7,
    "created_at": "2026-01-02T03:04:05.678901Z",
    "updated_at": "2026-01-02T03:04:05.678901Z",
}
_BIND = {"alias": "summarizer", "model": "openai:gpt-4o-mini", "profile": "default"}
_IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    str,
    OpenApiParameter.HEADER,
    description="The `ETag` of the last reply: 304 without a body while nothing has changed.",
)


def _read(serializer_class, request) -> dict:
    serializer = serializer_class(data=request.data, context={"request": request})
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


def _binding(members: dict) -> Binding:
    return Binding(members["alias"], members["model"], members.get("metadata"))


def _validator(request) -> tuple[dict[str, str], bool]:
    """The headers of a reply made from the project's aliases, and whether the caller has it."""
    revision = AliasRevision.current(request.auth)
    etag = f'"{revision}-{request.auth.project_id.hex[:12]}"'
    known = parse_etags(request.headers.get("If-None-Match", ""))
    headers = {
        "ETag": etag,
        "Cache-Control": "private, no-cache",
        "X-Alias-Revision": str(revision),
    }
    return headers, "*" in known or etag in (tag.removeprefix("W/") for tag in known)


class AliasesView(APIView):
    @extend_schema(
        tags=_TAGS,
        summary="List aliases, or what changed of them",
        description="With `since`, removed aliases are listed too, and `deleted` tells them. "
        "`X-Alias-Revision` is the `since` of the next poll.",
        parameters=[AliasesQuery, _IF_NONE_MATCH],
        responses={200: ChangeSerializer(many=True), 304: None},
        examples=[OpenApiExample("an alias", {**_ALIAS, "deleted": False}, response_only=True)],
    )
    def get(self, request):
        query = AliasesQuery.read(request)
        # Read before the rows: a change in between makes the next poll read again.
        headers, known = _validator(request)
        if known:
            return Response(status=304, headers=headers)
        rows = AliasBinding.objects.for_caller(request.auth)
        if "profile" in query:
            rows = rows.filter(profile=query["profile"])
        if "since" in query:
            shown = ChangeSerializer(rows.changed_since(query["since"]), many=True)
        else:
            shown = AliasSerializer(rows.bound(), many=True)
        return Response(shown.data, headers=headers)


class BindView(APIView):
    @extend_schema(
        tags=_TAGS,
        summary="Bind an alias, new or not",
        request=BindSerializer,
        responses=AliasSerializer,
        examples=[
            OpenApiExample("an alias", _BIND, request_only=True),
            OpenApiExample("bound", _ALIAS, response_only=True),
        ],
    )
    def post(self, request):
        members = _read(BindSerializer, request)
        profile = members.get("profile") or DEFAULT_PROFILE
        row = binding.bind(request.auth, profile, _binding(members))
        return Response(AliasSerializer(row).data)


class ResolveView(APIView):
    @extend_schema(
        tags=_TAGS,
        summary="The model behind an alias",
        parameters=[ResolveQuery],
        responses=ResolvedSerializer,
        examples=[
            OpenApiExample("bound", {"alias": "summarizer", "model": "openai:gpt-4o-mini"}),
            OpenApiExample("unknown", {"alias": "summarizer", "model": None}),
        ],
    )
    def get(self, request):
        query = ResolveQuery.read(request)
        rows = AliasBinding.objects.for_caller(request.auth).bound().filter(**query)
        return Response(
            {"alias": query["alias"], "model": rows.values_list("model", flat=True).first()}
        )


class AliasView(APIView):
    @extend_schema(
        tags=_TAGS,
        summary="One alias",
        parameters=[ProfileQuery],
        responses=AliasSerializer,
        examples=[OpenApiExample("an alias", _ALIAS)],
    )
    def get(self, request, alias):
        query = ProfileQuery.read(request)
        rows = AliasBinding.objects.for_caller(request.auth).bound()
        row = rows.filter(alias=alias, **query).first()
        if row is None:
            raise Http404("Alias not found")
        return Response(AliasSerializer(row).data)

    @extend_schema(
        tags=_TAGS,
        summary="Bind the alias of the path",
        request=PutSerializer,
        responses=AliasSerializer,
        examples=[
            OpenApiExample("a model", {"model": "openai:gpt-4o-mini"}, request_only=True),
            OpenApiExample("bound", _ALIAS, response_only=True),
        ],
    )
    def put(self, request, alias):
        members = _read(PutSerializer, request)
        profile = members.get("profile") or DEFAULT_PROFILE
        row = binding.bind(request.auth, profile, _binding({**members, "alias": _checked(alias)}))
        return Response(AliasSerializer(row).data)

    @extend_schema(
        tags=_TAGS,
        summary="Remove an alias",
        parameters=[ProfileQuery],
        responses=OpenApiTypes.OBJECT,
        examples=[OpenApiExample("removed", {"deleted": True})],
    )
    def delete(self, request, alias):
        profile = ProfileQuery.read(request)["profile"]
        return Response({"deleted": binding.unbind(request.auth, profile, alias)})


def _checked(alias: str) -> str:
    """An alias of a path, fit to be bound. Raises InvalidInput."""
    serializer = BulkItemSerializer(data={"alias": alias, "model": "any"})
    serializer.location = "path"
    serializer.is_valid(raise_exception=True)
    return alias


class BulkView(APIView):
    @extend_schema(
        tags=_TAGS,
        summary="Bind many aliases of a profile, all or none",
        parameters=[ProfileQuery],
        request=BulkItemSerializer(many=True),
        responses=OpenApiTypes.OBJECT,
        examples=[
            OpenApiExample("an alias", {"alias": "fast", "model": "openai:m"}, request_only=True),
            OpenApiExample("bound", {"updated": 1}, response_only=True),
        ],
    )
    def post(self, request):
        profile = ProfileQuery.read(request)["profile"]
        sent = request.data if int(request.META.get("CONTENT_LENGTH") or 0) else None
        serializer = BulkSerializer(data={"items": [] if sent is None else sent})
        try:
            serializer.is_valid(raise_exception=True)
        except InvalidInput as error:
            for found in error.issues:
                del found["loc"][1]  # the body is the list itself
            raise
        bindings = [_binding(item) for item in serializer.validated_data["items"]]
        return Response({"updated": binding.bind_all(request.auth, profile, bindings)})


class ExportView(APIView):
    @extend_schema(
        tags=_TAGS,
        summary="Aliases as a lockfile of the client",
        parameters=[ExportQuery, _IF_NONE_MATCH],
        responses={
            (200, "application/json"): OpenApiTypes.OBJECT,
            (200, "application/toml"): str,
            304: None,
        },
    )
    def get(self, request):
        query = ExportQuery.read(request)
        headers, known = _validator(request)
        if known:
            return Response(status=304, headers=headers)
        rows = AliasBinding.objects.for_caller(request.auth).bound()
        if "profile" in query:
            rows = rows.filter(profile=query["profile"])
        content_type, name, written = lockfile.FORMATS[query["format"]]
        body = written(lockfile.document(rows, query.get("profile")))
        response = HttpResponse(body, content_type=content_type, headers=headers)
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response
