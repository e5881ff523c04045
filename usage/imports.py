"""Logs from files: our own export, or the rows of the older server.

Importing the same file again stores nothing twice: a row's id is made from its
time and its old id (or its text), so a repeated row is found by it.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import groupby
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction
from rest_framework.exceptions import ParseError

from accounts import admission, keys
from accounts.admission import Action
from accounts.models import ApiKey
from core import ids, schemas
from core.errors import InvalidInput
from core.scoping import Caller
from usage import csv_format, ingestion, ledger
from usage.ingestion import OwnedConversations
from usage.ledger import LogRow
from usage.models import UsageLog
from usage.schemas import ImportedLog


def read_ndjson(lines: Iterable[str]) -> Iterator[Any]:
    """Yield the rows of NDJSON text; for a malformed line, its error."""
    for line in lines:
        if line.strip():
            try:
                yield schemas.loads(line.strip("\ufeff").encode())
            except (InvalidInput, ParseError) as error:
                yield error


READERS = {"ndjson": read_ndjson, "csv": csv_format.read}


class BadRow(ValueError):
    """A row that cannot be imported; the text says why."""


class _Log(NamedTuple):
    entry: ImportedLog
    caller: Caller
    id: UUID
    event_id: str | None


@dataclass
class Importer:
    """Stores logs of files. Without a caller, each row's own key decides its project."""

    owned_conversations: OwnedConversations
    caller: Caller | None = None

    def __post_init__(self) -> None:
        self._callers: dict[str, Caller] = {}

    def parse(self, row: Any) -> _Log:
        """Return the log of a row that a reader yielded. Raises BadRow."""
        try:
            if isinstance(row, Exception):
                raise row
            entry = schemas.validate(ImportedLog, row)
        except InvalidInput as error:
            raise BadRow(_in_words(error)) from None
        except ParseError as error:
            raise BadRow(str(error.detail)) from None
        caller = self.caller or self._caller_of(entry.api_key_id)
        id = _id(entry, row, caller)
        return _Log(entry, caller, id, entry.event_id or None)

    def store(self, logs: Sequence[_Log]) -> int:
        """Store the logs, all or none; return how many were new."""
        logs = sorted(logs, key=_project_of)
        with transaction.atomic():
            return sum(self._store(list(group)) for _, group in groupby(logs, key=_project_of))

    def _store(self, logs: list[_Log]) -> int:
        """Store logs of one project."""
        stored, _ = ledger.insert(self._rows(logs))
        if stored < len(logs):
            copies = [_copy_of(log) for log in _of_other_projects(logs)]
            stored += ledger.insert(self._rows(copies))[0]
        return stored

    def _rows(self, logs: list[_Log]) -> list[LogRow]:
        if not logs:
            return []
        conversations = ingestion.resolve_conversations(
            [log.entry for log in logs], logs[0].caller, self.owned_conversations
        )
        return [
            ingestion.build_row(
                log.entry,
                log.caller,
                conversation_id=conversation,
                id=log.id,
                event_id=log.event_id,
            )
            for log, conversation in zip(logs, conversations, strict=True)
        ]

    def _caller_of(self, key: str | None) -> Caller:
        if not (key or "").strip():
            raise BadRow("api_key_id is missing; name a project with --project")
        if key not in self._callers:
            self._callers[key] = _authenticate(key.strip())
        return self._callers[key]


def _of_other_projects(logs: Sequence[_Log]) -> list[_Log]:
    """Return the logs that could not be inserted although the project has no such row.

    Ids are unique in the server: another project has the rows that they are copies of.
    """
    own = UsageLog.objects.for_caller(logs[0].caller)
    known_ids = set(own.filter(id__in=[log.id for log in logs]).values_list("id", flat=True))
    events = [log.event_id for log in logs if log.event_id]
    known_events = set(own.filter(event_id__in=events).values_list("event_id", flat=True))
    return [log for log in logs if log.id not in known_ids and log.event_id not in known_events]


def _copy_of(log: _Log) -> _Log:
    """Return the log with an id of its own; the old one becomes its event id if it has none."""
    return log._replace(
        id=_derived_id(log.caller, str(log.id), log.entry.timestamp),
        event_id=log.event_id or str(log.id),
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


def _id(entry: ImportedLog, row: dict, caller: Caller) -> UUID:
    """Return the row's own id if it has our form and its time; else one made from it."""
    text = entry.id or json.dumps(row, sort_keys=True, default=str)
    try:
        own = UUID(text)
        if own.version == 7 and ids.moment(own) == entry.timestamp:
            return own
    except ValueError:
        pass
    return _derived_id(caller, text, entry.timestamp)


def _derived_id(caller: Caller, text: str, at: datetime) -> UUID:
    seed = sha256(f"{caller.project_id}/{text}".encode()).digest()
    return ids.uuid7(at, random=int.from_bytes(seed[:8]))


def _project_of(log: _Log) -> UUID:
    return log.caller.project_id


def _in_words(error: InvalidInput) -> str:
    first = error.issues[0]
    place = ".".join(map(str, first["loc"][1:]))
    return f"{place}: {first['msg']}" if place else first["msg"]
