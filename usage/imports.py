"""Logs from files: our own export, or the rows of the older server.

Importing the same file again stores nothing twice: a row's id is made from its
time and its old id (or its text), so a repeated row is found by it.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple
from uuid import UUID

from django.db import transaction
from django.utils.dateparse import parse_datetime

from accounts import admission, keys
from accounts.admission import Action
from accounts.models import ApiKey
from core import ids
from core.errors import InvalidInput
from core.scoping import Caller
from usage import ingestion, ledger
from usage.entries import LogEntry
from usage.ingestion import OwnedConversations
from usage.ledger import LogRow
from usage.models import UsageLog
from usage.serializers import LogEntrySerializer

_MAX_CELL_CHARACTERS = 10_000_000


class BadRow(ValueError):
    """A row that cannot be imported; the text says why."""


def read_ndjson(lines: Iterator[str]) -> Iterator[dict]:
    """Yield the rows of NDJSON text; for a malformed line, its error under the empty name."""
    for line in lines:
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        yield row if isinstance(row, dict) else {"": "not a JSON object"}


def read_csv(lines: Iterator[str]) -> Iterator[dict]:
    """Yield the rows of CSV text with a header line; empty cells are absent."""
    csv.field_size_limit(_MAX_CELL_CHARACTERS)
    for cells in csv.DictReader(lines):
        row = {name: value for name, value in cells.items() if name and value not in ("", None)}
        if "metadata" in row:
            try:
                row["metadata"] = json.loads(row["metadata"])
            except ValueError:
                row = {"": "metadata is not JSON"}
        yield row


class ImportedLog(NamedTuple):
    """A log of a file, and the id that its row had there or is given here."""

    entry: LogEntry
    caller: Caller
    at: datetime
    id: UUID
    event_id: str | None


@dataclass
class Importer:
    """Stores logs of files. Without a caller, each row's own key decides its project."""

    owned_conversations: OwnedConversations
    caller: Caller | None = None

    def __post_init__(self) -> None:
        self._callers: dict[str, Caller] = {}

    def parse(self, row: dict) -> ImportedLog:
        """Return the log of a row. Raises BadRow."""
        if "" in row:
            raise BadRow(row[""])
        at, entry = _time(row), _entry(row)
        caller = self.caller or self._caller_of(row.get("api_key_id"))
        return ImportedLog(entry, caller, at, _id(row, at, caller), row.get("event_id") or None)

    def store(self, logs: Sequence[ImportedLog]) -> int:
        """Store the logs, all or none; return how many were new."""
        by_project = itemgetter(1)
        logs = sorted(logs, key=lambda log: log.caller.project_id)
        with transaction.atomic():
            return sum(
                self._store(caller, list(group)) for caller, group in groupby(logs, key=by_project)
            )

    def _store(self, caller: Caller, logs: list[ImportedLog]) -> int:
        stored, _ = ledger.insert(self._rows(caller, logs))
        if stored < len(logs):
            copies = [_copy_of(log) for log in _of_other_projects(caller, logs)]
            stored += ledger.insert(self._rows(caller, copies))[0]
        return stored

    def _rows(self, caller: Caller, logs: list[ImportedLog]) -> list[LogRow]:
        conversations = ingestion.resolve_conversations(
            [log.entry for log in logs], caller, self.owned_conversations
        )
        return [
            ingestion.build_row(
                log.entry,
                caller,
                conversation_id=conversation,
                at=log.at,
                id=log.id,
                event_id=log.event_id,
            )
            for log, conversation in zip(logs, conversations, strict=True)
        ]

    def _caller_of(self, key: object) -> Caller:
        if not isinstance(key, str) or not key.strip():
            raise BadRow("api_key_id is missing; name a project with --project")
        if key not in self._callers:
            self._callers[key] = _authenticate(key.strip())
        return self._callers[key]


def _of_other_projects(caller: Caller, logs: Sequence[ImportedLog]) -> list[ImportedLog]:
    """Return the logs that could not be inserted although the project has no such row.

    Ids are unique in the server: another project has the rows that they are copies of.
    """
    own = UsageLog.objects.for_caller(caller)
    known_ids = set(own.filter(id__in=[log.id for log in logs]).values_list("id", flat=True))
    events = [log.event_id for log in logs if log.event_id]
    known_events = set(own.filter(event_id__in=events).values_list("event_id", flat=True))
    return [log for log in logs if log.id not in known_ids and log.event_id not in known_events]


def _copy_of(log: ImportedLog) -> ImportedLog:
    """Return the log with an id of its own; the old one becomes its event id if it has none."""
    return log._replace(
        id=_derived_id(log.caller, str(log.id), log.at), event_id=log.event_id or str(log.id)
    )


def _authenticate(key: str) -> Caller:
    """Return the caller of a key's public id (our export) or of the key itself (older server)."""
    try:
        row = ApiKey.objects.filter(id=UUID(key)).first()
    except ValueError:
        row = None
    if row:
        return Caller(project_id=row.project_id, api_key_id=row.id)
    try:
        keys.check_form(key)
        return admission.admit(admission.authenticate_key(key), Action.WRITE)
    except keys.MalformedKey as error:
        raise BadRow(f"api_key_id {error.reason}") from None
    except admission.InvalidKey:
        raise BadRow("api_key_id is no key of this server; name a project with --project") from None


def _time(row: dict) -> datetime:
    text = row.get("created_at") or row.get("logged_at")
    try:
        at = parse_datetime(text) if isinstance(text, str) else None
    except ValueError:
        at = None
    if at is None or not 1970 < at.year < 9000:
        raise BadRow("created_at or logged_at must be a date and time in ISO 8601")
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def _entry(row: dict) -> LogEntry:
    members = {name: value for name, value in row.items() if name in LogEntry.__struct_fields__}
    if row.get("cost_source") == "unpriced":
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


def _id(row: dict, at: datetime, caller: Caller) -> UUID:
    """Return the row's own id if it has our form and its time; else one made from it."""
    text = str(row.get("id") or json.dumps(row, sort_keys=True, default=str))
    try:
        own = UUID(text)
        if own.version == 7 and ids.moment(own) == at:
            return own
    except ValueError:
        pass
    return _derived_id(caller, text, at)


def _derived_id(caller: Caller, text: str, at: datetime) -> UUID:
    seed = sha256(f"{caller.project_id}/{text}".encode()).digest()
    return ids.uuid7(at, random=int.from_bytes(seed[:8]))
