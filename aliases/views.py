from django.http import Http404, HttpRequest, HttpResponse
from drf_spectacular.utils import OpenApiParameter
from rest_framework.decorators import action
from rest_framework.response import Response

from aliases import bindings, lockfile
from aliases.bindings import Binding
from aliases.models import AliasBinding, AliasRevision
from aliases.schemas import (
    Alias,
    AliasChange,
    AliasDeletion,
    AliasesQuery,
    AliasInPath,
    AliasItems,
    AliasTarget,
    AliasUpdate,
    ExportQuery,
    Lockfile,
    NewAlias,
    ProfileQuery,
    ResolvedAlias,
    ResolveQuery,
)
from core import parsing
from core.conditional import CONDITIONAL, not_modified
from core.idempotency import IDEMPOTENCY_KEY, idempotent
from core.viewsets import ScopedModelViewSet
from usage.models import DEFAULT_PROFILE

_REVISION = OpenApiParameter(
    "X-Alias-Revision",
    int,
    OpenApiParameter.HEADER,
    response=[200, 304],
    description="The state of the project's aliases: `since` of the next request.",
)


def _revision_headers(request: HttpRequest) -> dict[str, str]:
    """Return the headers of a reply made from the project's aliases."""
    revision = AliasRevision.current(request.auth)
    return {
        "ETag": f'"{revision}-{request.auth.project_id.hex[:12]}"',
        "Cache-Control": "private, no-cache",
        _REVISION.name: str(revision),
    }


class AliasViewSet(ScopedModelViewSet):
    queryset = AliasBinding.objects.all()
    lookup_url_kwarg = "alias"
    lookup_value_regex = r"[^\x00]+?"  # an alias may have slashes inside
    not_found = "Alias not found"
    tags = ["aliases"]
    reply = Alias
    bodies = {"bind": NewAlias, "update": AliasTarget, "bulk_upsert": AliasItems}
    queries = {
        "list": AliasesQuery,
        "retrieve": ProfileQuery,
        "destroy": ProfileQuery,
        "resolve": ResolveQuery,
        "bulk_upsert": ProfileQuery,
        "export": ExportQuery,
    }
    replies = {
        "list": list[AliasChange | Alias],
        "destroy": AliasDeletion,
        "resolve": ResolvedAlias,
        "bulk_upsert": AliasUpdate,
        "export": {"application/json": Lockfile, "application/toml": str},
    }
    headers = {
        "list": [*CONDITIONAL, _REVISION],
        "export": [*CONDITIONAL, _REVISION],
        "bind": [IDEMPOTENCY_KEY],
        "bulk_upsert": [IDEMPOTENCY_KEY],
    }

    def get_object(self):
        """Return an alias of this name in any profile; None if there is none, since PUT creates it.

        Only the caller's own project is searched: a 403 reveals nothing of other projects.
        """
        return self._bound(alias=self.kwargs["alias"]).first()

    def _bound(self, **labels: str | None):
        """Return the caller's aliases that name a model now; labels of None are ignored."""
        labels = {name: value for name, value in labels.items() if value is not None}
        return self.get_queryset().bound().filter(**labels)

    def list(self, request):
        """List aliases, or their changes

        With `since`, removed aliases are included, with `deleted`. Pass `X-Alias-Revision`
        as `since` in the next request.
        """
        query = self.query
        # Read before the rows: a change in between makes the next poll read again.
        headers = _revision_headers(request)
        if response := not_modified(request, headers):
            return response
        if query.since is None:
            rows = [self.represent(row) for row in self._bound(profile=query.profile)]
        else:
            changed = self.get_queryset().changed_since(query.since)
            if query.profile is not None:
                changed = changed.filter(profile=query.profile)
            rows = [self.represent(row, AliasChange) for row in changed]
        return Response(rows, headers=headers)

    def retrieve(self, request, alias):
        """Get an alias"""
        row = self._bound(alias=alias, profile=self.query.profile).first()
        if row is None:
            raise Http404(self.not_found)
        return Response(self.represent(row))

    def update(self, request, alias):
        """Create or replace the alias in the path"""
        target = self.body
        parsing.validate(AliasInPath, {"alias": alias}, loc=("path",))
        return self._bind(alias, target)

    def destroy(self, request, alias):
        """Delete an alias"""
        deleted = bindings.unbind(request.auth, self.query.profile, alias)
        return Response({"deleted": deleted})

    @action(detail=False, methods=["post"])
    @idempotent
    def bind(self, request):
        """Create or replace an alias"""
        return self._bind(self.body.alias, self.body)

    @action(detail=False)
    def resolve(self, request):
        """Resolve an alias to its model"""
        alias = self.query.alias
        bound = self._bound(alias=alias, profile=self.query.profile)
        return Response({"alias": alias, "model": bound.values_list("model", flat=True).first()})

    @action(detail=False, methods=["post"])
    @idempotent
    def bulk_upsert(self, request):
        """Create or replace many aliases of a profile, all or none"""
        profile = self.query.profile
        items = (self.body.root if request.body else None) or []
        targets = [Binding(item.alias, item.model, item.metadata) for item in items]
        return Response({"updated": bindings.bind_all(request.auth, profile, targets)})

    @action(detail=False)
    def export(self, request):
        """Export aliases as a lockfile of the client"""
        query = self.query
        headers = _revision_headers(request)
        if response := not_modified(request, headers):
            return response
        content_type, name, serialize = lockfile.FORMATS[query.format]
        body = serialize(lockfile.build(self._bound(profile=query.profile), query.profile))
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return HttpResponse(body, content_type=content_type, headers=headers)

    def _bind(self, alias: str, target: AliasTarget) -> Response:
        binding = Binding(alias, target.model, target.metadata)
        profile = target.profile or DEFAULT_PROFILE
        return Response(self.represent(bindings.bind(self.request.auth, profile, binding)))
