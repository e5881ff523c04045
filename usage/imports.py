"""Logs from files: our own export, or the rows of the older server.

Importing the same file again stores nothing twice: a row's id is made from its
time and its old id (or its text), so a repeated row meets itself.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

from django.utils.dateparse import parse_datetime

from accounts import keyring, keys
from accounts.models import ApiKey
from core import ids
from core.errors import InvalidInput
from core.scoping import Caller
from usage import rows
from usage.entries import LogEntry
from usage.rows import Row
from usage.serializers import LogEntrySerializer

_LARGEST_FIELD = 10_000_000


class BadRow(ValueError):
    """A row that cannot be imported; the text says why."""


def read_ndjson(lines: Iterator[str]) -> Iterator[dict]:
    """The rows of NDJSON text. A line that is no JSON object comes as its error."""
    for line in lines:
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        yield row if isinstance(row, dict) else {"": "not a JSON object"}


def read_csv(lines: Iterator[str]) -> Iterator[dict]:
    """The rows of CSV text with a header line; empty cells are absent."""
    csv.field_size_limit(_LARGEST_FIELD)
    for row in csv.DictReader(lines):
        found = {name: value for name, value in row.items() if name and value not in ("", None)}
        if "metadata" in found:
            try:
                found["metadata"] = json.loads(found["metadata"])
            except ValueError:
                found = {"": "metadata is not JSON"}
        yield found


@dataclass
class Importer:
    """Turns rows of a file into rows of ours. Without a caller, each row's own key opens it."""

    caller: Caller | None = None

    def __post_init__(self) -> None:
        self._callers: dict[str, Caller] = {}

    def row(self, found: dict) -> Row:
        """The row to store. Raises BadRow."""
        if "" in found:
            raise BadRow(found[""])
        at = _moment(found)
        entry = _entry(found)
        caller = self.caller or self._caller_of(found.get("api_key_id"))
        row_id = _id(found, at, caller)
        return rows.make(entry, caller, at=at, id=row_id, event_id=found.get("event_id") or None)

    def _caller_of(self, key: object) -> Caller:
        if not isinstance(key, str) or not key.strip():
            raise BadRow("api_key_id is missing; name a project with --project")
        if key not in self._callers:
            self._callers[key] = _opened_by(key.strip())
        return self._callers[key]


def _opened_by(key: str) -> Caller:
    """The caller of a key's public id (our export) or of the key itself (the older server)."""
    try:
        row = ApiKey.objects.filter(id=UUID(key)).first()
    except ValueError:
        row = None
    if row:
        return Caller(project_id=row.project_id, api_key_id=row.id)
    try:
        keys.check_form(key)
        return keyring.authenticate_key(key, writing=True)
    except keys.MalformedKey as error:
        raise BadRow(f"api_key_id {error.reason}") from None
    except keyring.KeyRefused:
        raise BadRow("api_key_id is no key of this server; name a project with --project") from None


def _moment(found: dict) -> datetime:
    text = found.get("created_at") or found.get("logged_at")
    try:
        at = parse_datetime(text) if isinstance(text, str) else None
    except ValueError:
        at = None
    if at is None or not 1970 < at.year < 9000:
        raise BadRow("created_at or logged_at must be a date and time in ISO 8601")
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def _entry(found: dict) -> LogEntry:
    members = {name: value for name, value in found.items() if name in LogEntry.__struct_fields__}
    if found.get("cost_source") == "unpriced":
        del members["cost"]  # exported as 0: unknown, not free
    if members.get("metadata") is None:
        members.pop("metadata", None)
    serializer = LogEntrySerializer(data=members)
    try:
        serializer.is_valid(raise_exception=True)
    except InvalidInput as error:
        first = error.issues[0]
        raise BadRow(f"{'.'.join(map(str, first['loc'][1:]))}: {first['msg']}") from None
    return LogEntry(**serializer.validated_data)


def _id(found: dict, at: datetime, caller: Caller) -> UUID:
    """The row's id here: its own, when it has our form and its time; else one made from it."""
    text = str(found.get("id") or json.dumps(found, sort_keys=True, default=str))
    try:
        own = UUID(text)
        if own.version == 7 and ids.moment(own) == at:
            return own
    except ValueError:
        pass
    seed = sha256(f"{caller.project_id}/{text}".encode()).digest()
    return ids.uuid7(at, random=int.from_bytes(seed[:8]))
