"""What an MCP server offers, as it is stored: items keep their ids for as long as it has them."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.http import Http404
from django.utils import timezone

from core.errors import DomainError
from mcp.models import Prompt, Resource, Server, Tool

_KEY = {Tool: "name", Resource: "uri", Prompt: "name"}
_COLUMNS = {
    Tool: ["title", "description", "input_schema", "output_schema", "annotations"],
    Resource: ["name", "title", "description", "mime_type"],
    Prompt: ["title", "description", "arguments"],
}
_BATCH = 500


class MovedMeanwhile(DomainError):
    status_code = 409
    code = "moved_meanwhile"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Lists of items as columns by name; None: nothing was said of this kind.

    A column that an item does not name stays as it is.
    """

    tools: list[dict] | None = None
    resources: list[dict] | None = None
    prompts: list[dict] | None = None

    def by_model(self) -> Iterable[tuple[type, list[dict] | None]]:
        return ((Tool, self.tools), (Resource, self.resources), (Prompt, self.prompts))


def store(server: Server, catalogue: Catalogue, *, only_first: bool = False, **state) -> Server:
    """The server with its items replaced and `state` set; what is gone is switched off.

    `capabilities` become the counts of its items, unless `state` has them. With
    `only_first` a server that was refreshed before stays as it is. Raises Http404, and
    MovedMeanwhile when the items may be those of another address.
    """
    with transaction.atomic():
        # One refresh after the other: two at once would see each other's items half.
        locked = Server.objects.select_for_update().filter(pk=server.pk).first()
        if locked is None:
            raise Http404("Server not found")
        if (locked.url, locked.transport_type) != (server.url, server.transport_type):
            raise MovedMeanwhile("The server's address was changed meanwhile; refresh it again")
        if only_first and locked.refreshed_at is not None:
            return locked
        for model, items in catalogue.by_model():
            if items is not None:
                _replace(model, locked, items)
        now = timezone.now()
        state.setdefault("capabilities", _counts(locked))
        for name, value in {**state, "refreshed_at": now, "updated_at": now}.items():
            setattr(locked, name, value)
        locked.save()
    return locked


def _replace(model: type, server: Server, items: list[dict]) -> None:
    key = _KEY[model]
    existing = {getattr(row, key): row for row in model.objects.filter(server=server)}
    wanted = {item[key]: item for item in items}  # of two with one name the last counts
    changed = [
        row
        for name, item in wanted.items()
        if (row := _changed(model, server, existing, name, item))
    ]
    columns = [*_COLUMNS[model], "is_active", *(["fingerprint"] if model is Tool else [])]
    model.objects.bulk_create(
        changed,
        batch_size=_BATCH,
        update_conflicts=True,
        unique_fields=["server", key],
        update_fields=columns,
    )
    gone = [row.pk for name, row in existing.items() if row.is_active and name not in wanted]
    model.objects.filter(pk__in=gone).update(is_active=False)


def _changed(model, server, existing, name, item):
    """The row to write for an item; None when it stands there as it is."""
    row = existing.get(name)
    is_new = row is None
    if is_new:
        row = model(
            server=server,
            project_id=server.project_id,
            api_key_id=server.api_key_id,
            user_id=server.user_id,
            **{_KEY[model]: name},
        )
    same = not is_new and row.is_active
    row.is_active = True
    for column in _COLUMNS[model]:
        if column in item and getattr(row, column) != item[column]:
            setattr(row, column, item[column])
            same = False
    if same:
        return None
    if model is Tool:
        row.fingerprint = row.current_fingerprint
        if is_new:
            row.accepted_fingerprint = row.fingerprint
    return row


def _counts(server: Server) -> dict[str, int]:
    return {
        kind: model.objects.filter(server=server, is_active=True).count()
        for kind, model in (("tools", Tool), ("resources", Resource), ("prompts", Prompt))
    }
