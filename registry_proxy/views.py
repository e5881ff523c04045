from django.http import HttpRequest, HttpResponse

from core import json_writer
from core.conditional import CONDITIONAL, not_modified
from core.edge_replies import Reply
from core.edge_request import Request
from core.views import PublicView
from registry_proxy import mirror
from registry_proxy.current_registry import current
from registry_proxy.models import Snapshot
from registry_proxy.representations import Representation, representation
from registry_proxy.schemas import (
    Changelog,
    ChangelogQuery,
    ProviderModels,
    Registry,
    RegistryManifest,
    RegistryQuery,
)


def _respond(request: HttpRequest, content: Representation) -> HttpResponse:
    return not_modified(request, content.headers) or HttpResponse(
        content.body, content_type="application/json", headers=content.headers
    )


class _RegistryView(PublicView):
    tags = ["registry"]
    errors = {"get": {404: "No such version or file"}}
    headers = {"get": CONDITIONAL}


class RegistryView(_RegistryView):
    queries = {"get": RegistryQuery}
    replies = {"get": Registry}

    def get(self, request):
        """Get the model registry: all models, their prices and capabilities

        Prices are US dollars per million tokens. `snapshot` is the permanent name of
        this state.
        """
        filters = self.query.providers, self.query.capabilities
        if name := self.query.version.strip():
            return _respond(request, mirror.version(name, *filters))
        return _respond(request, mirror.current_document(*filters))


class RegistryFileView(RegistryView):
    """The same document under the name that older clients use."""

    def get(self, request):
        """Get the model registry, as a file

        The same as `/registry`.
        """
        return super().get(request)


class VersionView(_RegistryView):
    replies = {"get": Registry}

    def get(self, request, version):
        """Get a version of the registry

        A snapshot such as `2026.08.18`, an upstream archive number, or upstream's
        version. Its content never changes.
        """
        return _respond(request, mirror.version(version))


class ChangelogView(_RegistryView):
    queries = {"get": ChangelogQuery}
    replies = {"get": Changelog}

    def get(self, request):
        """List the changes of each version, newest first

        Versions in which no model changed are left out.
        """
        query = self.query
        current.require()  # without a registry there is no history of it
        name = query.since.strip()
        snapshots = mirror.snapshots_since(name) if name else Snapshot.objects.all()
        changes = [entry.changelog_entry() for entry in snapshots.changed()[: query.limit]]
        return _respond(request, representation(json_writer.dumps({"changes": changes})))


class ManifestView(_RegistryView):
    replies = {"get": RegistryManifest}

    def get(self, request):
        """Get upstream's manifest, byte for byte

        With the files of the providers, this server can replace the public registry.
        """
        return _respond(request, mirror.manifest())


class ProviderView(_RegistryView):
    replies = {"get": ProviderModels}

    def get(self, request, provider):
        """Get upstream's file of a provider, byte for byte

        The provider's current models.
        """
        return _respond(request, mirror.provider_file(provider))


class ArchiveView(_RegistryView):
    replies = {"get": ProviderModels}

    def get(self, request, provider, number):
        """Get upstream's archive of a provider, byte for byte

        Archives are numbered from 1 to the `version` of the provider's file; they never change.
        """
        return _respond(request, mirror.archive_file(provider, number))


async def serve_on_edge(request: Request) -> Reply | None:
    """Return `GET /registry` without a query from prepared bytes; None leaves it to the view."""
    if request.query_string or not current.is_loaded() or (snapshot := current.get()) is None:
        return None
    content = snapshot.representation
    if response := not_modified(request, content.headers):
        return Reply(response.content, response.status_code, [*response.items()])
    return Reply(content.body, headers=[*content.headers.items()])
