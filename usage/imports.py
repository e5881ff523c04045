"""Logs from files: our own export, or the rows of the older server.

Importing the same file again stores nothing twice: a row's id is made from its
time and its old id (or its text), so a repeated row is found by it.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction
from rest_framework.exceptions import ParseError

from accounts import admission, api_keys
from accounts.models import ApiKey
from accounts.permissions import Action, NotPermitted
from core import exact_json, parsing
from core.errors import InvalidInput
from core.scoping import Caller
from usage import copies, csv_format, deduplication, log_rows
from usage.log_rows import OwnedConversations
from usage.schemas import ImportedLog


def read_ndjson(lines: Iterable[str]) -> Iterator[Any]:
    """Yield the rows of NDJSON text; for a malformed line, its error."""
    for line in lines:
        if line.strip():
            try:
                yield exact_json.loads(line.strip("\ufeff").encode(errors="surrogateescape"))
            except (InvalidInput, ParseError) as error:
                yield error


READERS = {"ndjson": read_ndjson, "csv": csv_format.read}


class BadRow(ValueError):
    """A row that cannot be imported; the message has the reason."""


class _Log(NamedTuple):
    entry: ImportedLog
    caller: Caller


@dataclass
class Importer:
    """Stores logs of files. Without a caller, each row's own key or token decides its project.

    `caller_of_token` returns the caller that a token of the gateway has, by its id; None for
    other ids.
    """

    owned_conversations: OwnedConversations
    caller_of_token: Callable[[UUID], Caller | None]
    caller: Caller | None = None

    def __post_init__(self) -> None:
        self._callers: dict[str, Caller] = {}

    def parse(self, row: Any) -> _Log:
        """Return the log of a row that a reader yielded. Raises BadRow."""
        try:
            if isinstance(row, Exception):
                raise row
            entry = parsing.validate(ImportedLog, row)
        except InvalidInput as error:
            raise BadRow(_in_words(error)) from None
        except ParseError:
            raise BadRow("not UTF-8 text") from None
        if not entry.id:
            entry.id = json.dumps(row, sort_keys=True, default=str)
        return _Log(entry, self.caller or self._caller_of(entry.api_key_id))

    def store(self, logs: Sequence[_Log]) -> int:
        """Store the logs, all or none; return how many were new."""
        logs = sorted(logs, key=_project_of)
        with transaction.atomic():
            return sum(self._store(list(group)) for _, group in groupby(logs, key=_project_of))

    def _store(self, logs: list[_Log]) -> int:
        """Store logs of one project."""
        project = logs[0].caller
        contexts = log_rows.resolve([log.entry for log in logs], project, self.owned_conversations)
        rows = [
            log_rows.build_row(
                log.entry,
                log.caller,
                context,
                event_id=log.entry.event_id or None,
                id=copies.own_id(log.entry, log.caller),
            )
            for log, context in zip(logs, contexts, strict=True)
        ]
        outcomes = deduplication.store(project, rows, is_import=True)
        return sum(outcome.is_new for outcome in outcomes)

    def _caller_of(self, key: str | None) -> Caller:
        if not (key or "").strip():
            raise BadRow("api_key_id is missing; name a project with --project")
        if key not in self._callers:
            text = api_keys.decode(key)  # the older server stored what it read of the header
            self._callers[key] = self._caller_of_id(text) or _authenticate(text)
        return self._callers[key]

    def _caller_of_id(self, key: str) -> Caller | None:
        """Return the caller of a public id, as our exports have it."""
        try:
            id = UUID(key)
        except ValueError:
            return None
        row = ApiKey.objects.filter(id=id).first()
        if row is None:
            return self.caller_of_token(id)
        return Caller(project_id=row.project_id, api_key_id=row.id)


def _authenticate(key: str) -> Caller:
    """Return the caller of a key itself, as the older server stored it."""
    try:
        api_keys.check_form(key)
        return admission.admit(admission.authenticate_key(key), Action.WRITE)
    except api_keys.MalformedKey as error:
        raise BadRow(f"api_key_id {error.reason}") from None
    except NotPermitted:
        raise BadRow(
            "api_key_id is a key that may not write; name a project with --project"
        ) from None
    except admission.InvalidKey:
        raise BadRow(
            "api_key_id is not a key of this server; name a project with --project"
        ) from None


def _project_of(log: _Log) -> UUID:
    return log.caller.project_id


def _in_words(error: InvalidInput) -> str:
    first = error.issues[0]
    place = ".".join(map(str, first["loc"][1:]))
    return f"{place}: {first['msg']}" if place else first["msg"]
