"""Store the tools, resources and prompts of an MCP server; items keep their ids."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.http import Http404
from django.utils import timezone

from core.errors import DomainError
from mcp.models import Item, Prompt, Resource, Server, Tool
from mcp.offered_items import needs_repair
from mcp.offered_names import offered_name

_KEY = {Tool: "name", Resource: "uri", Prompt: "name"}
_COLUMNS = {
    Tool: ["title", "description", "input_schema", "output_schema", "annotations", "extra"],
    Resource: ["name", "title", "description", "mime_type", "extra"],
    Prompt: ["title", "description", "arguments", "extra"],
}
_NAMED = (Tool, Prompt)  # resources are known by their URIs
_BATCH = 500


class ServerMoved(DomainError):
    status_code = 409
    code = "server_moved"


@dataclass(frozen=True, slots=True)
class OfferedItems:
    """Items as dicts of column values, by kind; None leaves the stored items of a kind.

    A column that an item does not name keeps its value.
    """

    tools: list[dict] | None = None
    resources: list[dict] | None = None
    prompts: list[dict] | None = None

    def by_model(self) -> Iterable[tuple[type, list[dict] | None]]:
        return ((Tool, self.tools), (Resource, self.resources), (Prompt, self.prompts))


def store(
    server: Server,
    items: OfferedItems,
    *,
    unless_given: bool = False,
    not_again_before: datetime | None = None,
    **state,
) -> Server:
    """Replace the server's items, set the columns in `state`, and return the server.

    Items that are gone are deactivated. Without `capabilities` in `state` they become the
    counts of the items. With `unless_given` lists that the client has sent are left alone.
    A refresh that was asked for since the items were read stays due, from `not_again_before` on.
    Raises Http404, or ServerMoved if the URL changed since the items were read.
    """
    with transaction.atomic():
        # Serialize refreshes: concurrent ones would see half of each other's items.
        locked = Server.objects.select_for_update().filter(pk=server.pk).first()
        if locked is None:
            raise Http404("Server not found")
        if (locked.url, locked.transport_type) != (server.url, server.transport_type):
            raise ServerMoved("The server's address was changed meanwhile; refresh it again")
        if unless_given and locked.has_given_lists:
            return locked
        asked_for = locked.next_refresh_at
        if not_again_before and asked_for and asked_for != server.next_refresh_at:
            due = max(asked_for, not_again_before)
            state["next_refresh_at"] = min(due, state["next_refresh_at"] or due)
        for model, offered in items.by_model():
            if offered is not None:
                _replace(model, locked, offered)
        now = timezone.now()
        state.setdefault("capabilities", _counts(locked))
        for name, value in {**state, "refreshed_at": now, "updated_at": now}.items():
            setattr(locked, name, value)
        locked.save()
    return locked


def _replace(model: type, server: Server, items: list[dict]) -> None:
    key = _KEY[model]
    existing = {getattr(row, key): row for row in model.objects.filter(server=server)}
    wanted = {item[key]: item for item in items}  # of duplicates the last wins
    taken = {row.offered_name for row in existing.values()} if model in _NAMED else set()
    changed = []
    for name, item in wanted.items():
        row = existing.get(name) or _new(model, server, name, taken)
        if _update(row, item):
            changed.append(row)
    columns = [*_COLUMNS[model], "is_active", "needs_repair"]
    columns += ["fingerprint"] if model is Tool else []
    model.objects.bulk_create(
        changed,
        batch_size=_BATCH,
        update_conflicts=True,
        unique_fields=["server", key, "project_id"],
        update_fields=columns,
    )
    gone = [row.pk for name, row in existing.items() if row.is_active and name not in wanted]
    model.objects.filter(pk__in=gone).update(is_active=False)


def _new(model: type, server: Server, name: str, taken: set[str]) -> Item:
    row = model(
        server=server,
        project_id=server.project_id,
        api_key_id=server.api_key_id,
        user_id=server.user_id,
        is_active=False,  # until it is updated
        **{_KEY[model]: name},
    )
    if model in _NAMED:
        row.offered_name = offered_name(server.prefix, name, taken)
        taken.add(row.offered_name)
    return row


def _update(row: Item, item: dict) -> bool:
    """Set the row's columns and return whether it has to be written."""
    is_changed, is_new = not row.is_active, row._state.adding
    row.is_active = True
    for column in _COLUMNS[type(row)]:
        if column in item and getattr(row, column) != item[column]:
            setattr(row, column, item[column])
            is_changed = True
    if is_changed:
        row.needs_repair = needs_repair(row)
    if is_changed and isinstance(row, Tool):
        row.fingerprint = row.current_fingerprint
        if is_new:
            row.accepted_fingerprint = row.fingerprint
    return is_changed


def _counts(server: Server) -> dict[str, int]:
    return {
        kind: model.objects.filter(server=server, is_active=True).count()
        for kind, model in (("tools", Tool), ("resources", Resource), ("prompts", Prompt))
    }
