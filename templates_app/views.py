from django.db.models import F, Q
from django.http import Http404
from django.utils import timezone
from rest_framework.decorators import action
from rest_framework.response import Response

from core.errors import DomainError
from core.idempotency import IDEMPOTENCY_KEY, idempotent
from core.viewsets import ListMixin, RetrieveMixin, ScopedModelViewSet
from templates_app import services
from templates_app.models import ConversationTemplate
from templates_app.schemas import (
    Deletion,
    NewTemplate,
    Template,
    TemplateChanges,
    TemplatesQuery,
    TemplateStatistics,
    TemplateStatsQuery,
    TemplateUse,
    UsedTemplate,
)


class GlobalTemplate(DomainError):
    status_code = 403
    code = "global_template"


class TemplateViewSet(ListMixin, RetrieveMixin, ScopedModelViewSet):
    queryset = ConversationTemplate.objects.all()
    lookup_url_kwarg = "template_id"
    not_found = services.NOT_FOUND
    tags = ["templates"]
    reply = Template
    bodies = {"create": NewTemplate, "update": TemplateChanges, "use": TemplateUse}
    queries = {"list": TemplatesQuery, "stats": TemplateStatsQuery}
    replies = {
        "destroy": Deletion,
        "stats": list[TemplateStatistics],
        "use": UsedTemplate | Template,
    }
    headers = {"create": [IDEMPOTENCY_KEY], "use": [IDEMPOTENCY_KEY]}
    filters = {"created_by": "created_by"}

    def get_queryset(self):
        """Return the templates that the caller may use; to change them, also inactive ones."""
        if self.action in ("update", "destroy"):
            own = Q(project_id=self.request.auth.project_id)
            return self.queryset.filter(own | Q(project_id__isnull=True, is_active=True))
        return self.queryset.visible_to(self.request.auth)

    def _get_own(self) -> ConversationTemplate:
        """Return the project's own template, active or not. Raises Http404, GlobalTemplate."""
        template = self.get_object()
        if template.is_global:
            raise GlobalTemplate("Global templates are changed by the operator only")
        return template

    def list(self, request):
        """List your templates and the global ones, newest first"""
        return super().list(request)

    def retrieve(self, request, template_id):
        """Get a template"""
        return super().retrieve(request)

    @idempotent
    def create(self, request):
        """Create a template"""
        now = timezone.now()
        template = ConversationTemplate.objects.create(
            **self.body.columns(), **request.auth.columns(), created_at=now, updated_at=now
        )
        return Response(self.represent(template))

    def update(self, request, template_id):
        """Change one of your templates

        `is_active: true` restores a deleted one.
        """
        template = self._get_own()
        changes = self.body.columns()
        if not template.is_active and not changes.get("is_active"):
            raise Http404(self.not_found)
        if changes:
            services.change(template, changes, author=request.auth.author)
            template.refresh_from_db()
        return Response(self.represent(template))

    def destroy(self, request, template_id):
        """Delete one of your templates"""
        active = self.queryset.filter(id=self._get_own().id, is_active=True)
        if not active.update(is_active=False, updated_at=timezone.now()):
            raise Http404(self.not_found)
        return Response({"message": "Template deleted successfully"})

    @action(detail=False)
    def stats(self, request):
        """List templates by use"""
        last_use = F("last_used_at").desc(nulls_last=True)
        by_use = self.get_queryset().order_by("-usage_count", last_use, "-id")
        page = by_use[: self.query.limit]
        return Response([self.represent(row, TemplateStatistics) for row in page])

    @action(detail=True, methods=["post"])
    @idempotent
    def use(self, request, template_id):
        """Use a template: count the use, and render it with values"""
        template = self.get_object()
        values = self.body.values
        rendered = services.use(template, values)
        template.refresh_from_db()
        reply = self.represent(template)
        return Response(reply if values is None else {**reply, "rendered": rendered})
