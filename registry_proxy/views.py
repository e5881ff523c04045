from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from core import media
from core.fast_lane import Answer
from core.views import PublicView
from registry_proxy import mirror
from registry_proxy.current_registry import current
from registry_proxy.models import Snapshot
from registry_proxy.representations import Representation, representation
from registry_proxy.serializers import ChangelogQuery, RegistryQuery

_MODEL = {
    "provider": "openai",
    "model_name": "gpt-4o-mini",
    "display_name": "GPT-4o mini",
    "max_input_tokens": 128000,
    "max_output_tokens": 16000,
    "max_context": 128000,
    "dollars_per_million_tokens_input": 0.15,
    "dollars_per_million_tokens_output": 0.6,
    "dollars_per_million_tokens_cached_input": 0.075,
    "supports_vision": True,
    "is_active": True,
}
_DOCUMENT = {
    "version": "2025-08-20",
    "snapshot": "2026.08.18",
    "generated": "2026-08-18T21:30:00Z",
    "generated_at": "2026-08-18T21:30:00Z",
    "models": {"openai:gpt-4o-mini": _MODEL},
    "providers": {
        "openai": {
            "name": "OpenAI",
            "base_url": "https://api.openai.com/v1",
            "models_endpoint": "/models",
            "version": 7,
            "models": {
                "gpt-4o-mini": {
                    "name": "gpt-4o-mini",
                    "max_input_tokens": 128000,
                    "max_output_tokens": 16000,
                    "dollars_per_million_input_tokens": 0.15,
                    "dollars_per_million_output_tokens": 0.6,
                }
            },
        }
    },
}
_FILE = {
    "provider": "openai",
    "version": 7,
    "updated_at": "2026-08-18T17:29:16.542543",
    "models": {"openai:gpt-4o-mini": {"provider": "openai", "model_name": "gpt-4o-mini"}},
}
_CHANGELOG = {
    "changes": [
        {
            "version": "2026.08.18",
            "date": "2026-08-18",
            "entries": [
                {
                    "change_type": "price_changed",
                    "model": "openai:gpt-4o-mini",
                    "field": "dollars_per_million_tokens_input",
                    "old_value": 0.2,
                    "new_value": 0.15,
                    "notes": None,
                }
            ],
        }
    ]
}
_IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match", str, OpenApiParameter.HEADER, description="ETags of the client's copies."
)
_UNCHANGED = OpenApiResponse(description="The client's copy is current.")
_UNKNOWN = OpenApiResponse(description="The version or provider does not exist.")
_UNREACHED = OpenApiResponse(description="Upstream was never reached; try again.")


def _schema(
    summary: str,
    description: str,
    example: dict,
    *,
    parameters=(),
    may_be_unknown: bool = True,
    **options,
):
    """The OpenAPI description that all routes of the registry share."""
    responses = {200: OpenApiTypes.OBJECT, 304: _UNCHANGED, 404: _UNKNOWN, 503: _UNREACHED}
    if not may_be_unknown:
        del responses[404]
    return extend_schema(
        tags=["registry"],
        summary=summary,
        description=description,
        parameters=[*parameters, _IF_NONE_MATCH],
        responses=responses,
        examples=[OpenApiExample("registry", example, response_only=True, status_codes=["200"])],
        **options,
    )


def _respond(request: HttpRequest, content: Representation) -> HttpResponse:
    if content.matches(request.headers.get("If-None-Match", "")):
        return HttpResponseNotModified(headers=content.headers)
    return HttpResponse(content.body, content_type="application/json", headers=content.headers)


class RegistryView(PublicView):
    @_schema(
        "The model registry: all models, their prices and capabilities",
        "Prices are US dollars per million tokens. `snapshot` is the permanent name of this state.",
        _DOCUMENT,
        parameters=[RegistryQuery],
        operation_id="registry",
    )
    def get(self, request):
        query = RegistryQuery.read(request)
        filters = query["providers"], query["capabilities"]
        if name := query["version"].strip():
            return _respond(request, mirror.version(name, *filters))
        return _respond(request, mirror.current_document(*filters))


class RegistryFileView(RegistryView):
    """The same document under the name that older clients use."""

    @_schema(
        "The model registry, as a file",
        "The same as `/registry`.",
        _DOCUMENT,
        parameters=[RegistryQuery],
        operation_id="registry_file",
    )
    def get(self, request):
        return super().get(request)


class VersionView(PublicView):
    @_schema(
        "The registry as it was in a version",
        "A snapshot never changes; neither does an archive that every provider has.",
        _DOCUMENT,
        parameters=[
            OpenApiParameter(
                "version",
                str,
                OpenApiParameter.PATH,
                description="A snapshot such as `2026.08.18`, or an upstream archive number.",
            )
        ],
        operation_id="registry_version",
    )
    def get(self, request, version):
        return _respond(request, mirror.version(version))


class ChangelogView(PublicView):
    @_schema(
        "Changes from version to version, newest first",
        "`change_type` is `added`, `removed`, `price_changed`, `deactivated`, `activated` or "
        "`field_changed`. Versions in which no model changed are left out.",
        _CHANGELOG,
        parameters=[ChangelogQuery],
        may_be_unknown=False,
        operation_id="registry_changelog",
    )
    def get(self, request):
        query = ChangelogQuery.read(request)
        current.require()  # without a registry there is no history of it
        snapshots = Snapshot.objects.changed()
        if since := query.get("since"):
            snapshots = snapshots.after(since)
        changes = [snapshot.changelog_entry() for snapshot in snapshots[: query["limit"]]]
        return _respond(request, representation(media.dumps({"changes": changes})))


class ManifestView(PublicView):
    @_schema(
        "Upstream's manifest, byte for byte",
        "With the files of the providers, this server can stand in for the public registry.",
        {"version": "2025-08-20", "providers": {"openai": {"file": "openai/models.json"}}},
        operation_id="registry_manifest",
    )
    def get(self, request):
        return _respond(request, mirror.manifest())


class ProviderView(PublicView):
    @_schema(
        "Upstream's file of a provider, byte for byte",
        "The provider's current models.",
        _FILE,
        operation_id="registry_provider",
    )
    def get(self, request, provider):
        return _respond(request, mirror.provider_file(provider))


class ArchiveView(PublicView):
    @_schema(
        "Upstream's archive of a provider, byte for byte",
        "Archives are numbered from 1 to the `version` of the provider's file; they never change.",
        _FILE,
        operation_id="registry_archive",
    )
    def get(self, request, provider, number):
        return _respond(request, mirror.archive_file(provider, number))


def serve_on_edge(environ: dict) -> Answer | None:
    """Answer `GET /registry` without a query from prepared bytes; None leaves it to the view."""
    if environ.get("QUERY_STRING"):
        return None
    snapshot = current.get()
    if snapshot is None:
        return None
    content = snapshot.representation
    headers = [*content.headers.items()]
    if content.matches(environ.get("HTTP_IF_NONE_MATCH", "")):
        return Answer(b"", 304, headers)
    return Answer(content.body, 200, headers)
