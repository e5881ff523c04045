from django.db.models import F
from django.db.models.functions import Greatest
from django.http import Http404
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from core.errors import DomainError
from core.paths import uuid_in_path
from templates_app import using
from templates_app.models import ConversationTemplate
from templates_app.serializers import (
    NewTemplateSerializer,
    StatSerializer,
    StatsQuery,
    TemplateChangesSerializer,
    TemplateSerializer,
    TemplatesQuery,
    UsedSerializer,
    UseSerializer,
)

_TAGS = ["templates"]
_ID = OpenApiParameter("template_id", OpenApiTypes.UUID, OpenApiParameter.PATH)
_NEW = {
    "name": "Reviewer",
    "system_prompt": "You review {{language}} code.",
    "variables": {"language": "Python"},
    "model": "claude-3-sonnet-20240229",
    "temperature": 0.2,
    "created_by": "ada",
}
_TEMPLATE = {
    "id": "0193b1a2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
    "description": None,
    "messages": [],
    "max_tokens": None,
    "tool_config": {},
    "api_key_id": "0193b1a2-0000-7000-8000-000000000001",
    "project_id": None,
    "is_global": False,
    "is_active": True,
    "usage_count": 0,
    "created_at": "2026-01-02T03:04:05.678901Z",
    "updated_at": "2026-01-02T03:04:05.678901Z",
    "last_used_at": None,
    **_NEW,
}
_DELETED = {"message": "Template deleted successfully"}


class GlobalTemplate(DomainError):
    status_code = 403
    code = "global_template"


def _read(serializer_class, request) -> dict:
    serializer = serializer_class(data=request.data, context={"request": request})
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


def _own(caller, template_id: str) -> ConversationTemplate:
    """The project's own template, active or not. Raises Http404, GlobalTemplate."""
    id = uuid_in_path(template_id, "template_id")
    found = ConversationTemplate.objects.filter(id=id).first()
    if found and found.is_global and found.is_active:
        raise GlobalTemplate("Global templates are changed by the operator only")
    if found is None or found.project_id != caller.project_id:
        raise Http404("Template not found")
    return found


class TemplatesView(APIView):
    @extend_schema(
        tags=_TAGS,
        summary="Make a template",
        request=NewTemplateSerializer,
        responses=TemplateSerializer,
        examples=[
            OpenApiExample("a template", _NEW, request_only=True),
            OpenApiExample("stored", _TEMPLATE, response_only=True),
        ],
    )
    def post(self, request):
        members = _read(NewTemplateSerializer, request)
        label = members.pop("project_id", None)
        now = timezone.now()
        template = ConversationTemplate.objects.create(
            **members,
            **request.auth.columns(),
            project_label=label,
            created_at=now,
            updated_at=now,
        )
        return Response(TemplateSerializer(template).data)

    @extend_schema(
        tags=_TAGS,
        summary="List your templates and the global ones, newest first",
        parameters=[TemplatesQuery],
        responses=TemplateSerializer(many=True),
        examples=[OpenApiExample("a template", _TEMPLATE, response_only=True)],
    )
    def get(self, request):
        query = TemplatesQuery.read(request)
        found = ConversationTemplate.objects.visible_to(request.auth)
        if "created_by" in query:
            found = found.filter(created_by=query["created_by"])
        page = found[query["offset"] : query["offset"] + query["limit"]]
        return Response(TemplateSerializer(page, many=True).data)


class StatsView(APIView):
    @extend_schema(
        tags=_TAGS,
        summary="Templates by use",
        parameters=[StatsQuery],
        responses=StatSerializer(many=True),
        examples=[
            OpenApiExample(
                "a template",
                {
                    "template_id": _TEMPLATE["id"],
                    "template_name": "Reviewer",
                    "usage_count": 3,
                    "last_used_at": "2026-01-02T03:04:05.678901Z",
                    "created_at": "2026-01-02T03:04:05.678901Z",
                },
                response_only=True,
            )
        ],
    )
    def get(self, request):
        limit = StatsQuery.read(request)["limit"]
        found = ConversationTemplate.objects.visible_to(request.auth)
        by_use = found.order_by("-usage_count", F("last_used_at").desc(nulls_last=True), "-id")
        return Response(StatSerializer(by_use[:limit], many=True).data)


class TemplateView(APIView):
    @extend_schema(
        tags=_TAGS,
        summary="One template",
        parameters=[_ID],
        responses=TemplateSerializer,
        examples=[OpenApiExample("a template", _TEMPLATE)],
    )
    def get(self, request, template_id):
        id = uuid_in_path(template_id, "template_id")
        return Response(TemplateSerializer(using.find(request.auth, id)).data)

    @extend_schema(
        tags=_TAGS,
        summary="Change a template of yours",
        description="`is_active: true` brings a deleted one back.",
        parameters=[_ID],
        request=TemplateChangesSerializer,
        responses=TemplateSerializer,
        examples=[
            OpenApiExample("a temperature", {"temperature": 0}, request_only=True),
            OpenApiExample("changed", _TEMPLATE, response_only=True),
        ],
    )
    def put(self, request, template_id):
        template = _own(request.auth, template_id)
        changes = _read(TemplateChangesSerializer, request)
        if not template.is_active and not changes.get("is_active"):
            raise Http404("Template not found")
        if changes:
            row = ConversationTemplate.objects.filter(id=template.id)
            row.update(**changes, updated_at=Greatest("updated_at", timezone.now()))
            template.refresh_from_db()
        return Response(TemplateSerializer(template).data)

    @extend_schema(
        tags=_TAGS,
        summary="Delete a template of yours",
        parameters=[_ID],
        responses=OpenApiTypes.OBJECT,
        examples=[OpenApiExample("deleted", _DELETED)],
    )
    def delete(self, request, template_id):
        template = _own(request.auth, template_id)
        active = ConversationTemplate.objects.filter(id=template.id, is_active=True)
        if not active.update(is_active=False, updated_at=timezone.now()):
            raise Http404("Template not found")
        return Response(_DELETED)


class UseView(APIView):
    @extend_schema(
        tags=_TAGS,
        summary="Use a template: count it, and fill it with values",
        parameters=[_ID],
        request=UseSerializer,
        responses=UsedSerializer,
        examples=[
            OpenApiExample("values", {"values": {"language": "Rust"}}, request_only=True),
            OpenApiExample(
                "filled",
                {
                    **_TEMPLATE,
                    "usage_count": 1,
                    "rendered": {"system_prompt": "You review Rust code.", "messages": []},
                },
                response_only=True,
            ),
        ],
    )
    def post(self, request, template_id):
        template = using.find(request.auth, uuid_in_path(template_id, "template_id"))
        if not int(request.META.get("CONTENT_LENGTH") or 0):
            values = None
        else:
            values = _read(UseSerializer, request).get("values")
        if values is None:
            using.count(template)
        else:
            filled = using.use(template, values)
        template.refresh_from_db()
        shown = TemplateSerializer(template).data
        return Response(shown if values is None else {**shown, "rendered": filled})
