"""What a list of the admin shows, as a file: the rows of all its pages, oldest first."""

import re

import orjson
from django.http import Http404, StreamingHttpResponse

from accounts.models import Project
from usage import export
from usage.ledger_condition import condition_of
from usage.log_list import LogChangeList

_MAX_NAME = 120  # characters of a file's name


def as_file(changes: LogChangeList, kind: str) -> StreamingHttpResponse:
    """Return the selected logs as a download. Raises Http404 for an unknown kind of file."""
    if kind not in export.FORMATS:
        raise Http404(f"There is no export as {kind}")
    content_type, chunks = export.FORMATS[kind]
    condition, parameters = condition_of(changes.selected)
    names = {str(id): name for id, name in Project.objects.values_list("id", "name")}
    projects = {
        "project_id": "project_id",
        "project": "%(project_names)s::jsonb ->> project_id::text",
    }
    parameters["project_names"] = orjson.dumps(names).decode()
    response = StreamingHttpResponse(
        chunks(condition, parameters, projects), content_type=content_type
    )
    response["Content-Disposition"] = f'attachment; filename="{_name(changes)}.{kind}"'
    return response


def _name(changes: LogChangeList) -> str:
    """Return the name of the file, which says what narrows the list."""
    words = [f"{label} {value}" for label, value, _ in changes.active_filters]
    parts = [re.sub(r"[^A-Za-z0-9.]+", "-", word).strip("-.") for word in words]
    return "_".join(["usage-logs", *parts])[:_MAX_NAME]
