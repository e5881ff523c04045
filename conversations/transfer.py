"""Export and import: a line of JSON for each conversation, with all its messages."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, connection, transaction

from conversations import appending, documents, privacy, reading, rows, starting, store
from conversations.entries import ImportedConversation, ImportedMessage, decode
from conversations.models import Conversation
from conversations.rows import NewConversation, NewMessage
from conversations.serializers import ImportedConversationSerializer
from core import ids, media
from core.errors import DomainError, InvalidInput, issue
from core.scoping import Caller

_CONVERSATIONS = 200  # read at a time
_MESSAGES = 2_000


class ImportConflict(DomainError):
    status_code = 409
    code = "import_conflict"


def exported(caller: Caller, *, only: UUID | None = None) -> Iterator[bytes]:
    """The NDJSON of the caller's conversations, in the order of their ids, piece by piece."""
    own = Conversation.objects.for_caller(caller).order_by("id")
    if only:
        own = own.filter(id=only)
    columns = (*documents.CONVERSATION.values(), "last_position")
    after = UUID(int=0)
    while chunk := list(own.filter(id__gt=after).values_list(*columns)[:_CONVERSATIONS]):
        for *row, last_position in chunk:
            document = documents.conversation(row)
            yield media.dumps(document)[:-1] + b',"messages":['
            yield from _exported_messages(caller, document["id"], last_position)
            yield b"]}\n"
        after = document["id"]


def _exported_messages(caller: Caller, conversation_id: UUID, last: int) -> Iterator[bytes]:
    position, separator = 0, b""
    while position < last:
        with connection.cursor() as cursor:
            found, position = reading.messages_after(
                cursor, caller, conversation_id, position=position, last=last, limit=_MESSAGES
            )
        # A slow reader must not hold a connection for as long as it reads.
        if not connection.in_atomic_block:
            connection.close()
        if found:
            yield separator + media.dumps(found)[1:-1]
            separator = b","


def import_lines(caller: Caller, body: bytes) -> dict:
    """Store the conversations of an export, all or none; how many were.

    A conversation that the caller has already is skipped. One whose id is taken
    elsewhere gets another. Messages get new ids, which carry their times.
    Raises InvalidInput, TrackingDisabled, MessageLoggingDisabled, ImportConflict.
    """
    starting.check_enabled()
    appending.check_enabled()
    level = privacy.effective(privacy.FULL)
    found = [_read(number, line) for number, line in enumerate(_lines(body))]
    done = {"imported": 0, "skipped": 0, "messages": 0}
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            owners = dict(
                Conversation.objects.filter(id__in=[entry.id for entry in found]).values_list(
                    "id", "project_id"
                )
            )
            for entry in found:
                if owners.get(entry.id) == caller.project_id:
                    done["skipped"] += 1
                    continue
                messages = [_message(message, level) for message in entry.messages]
                new = _conversation(entry, messages)
                if entry.id in owners:
                    new = replace(new, id=ids.uuid7(new.created_at))
                store.create(cursor, store.creation(caller, new, messages))
                owners[entry.id] = caller.project_id
                done["imported"] += 1
                done["messages"] += len(messages)
    except IntegrityError:
        raise ImportConflict("The same conversations are being imported already") from None
    return done


def _lines(body: bytes) -> list[bytes]:
    lines = [line for line in body.split(b"\n") if line.strip()]
    if not lines:
        raise InvalidInput([issue("missing", ["body"], "Field required", None)])
    return lines


def _read(number: int, line: bytes) -> ImportedConversation:
    """The conversation in a line. Raises InvalidInput, naming the line from 0."""
    entry = decode(ImportedConversation, line)
    if entry is not None and all(_is_usual(at) for at in _times(entry)):
        return entry
    try:
        return ImportedConversationSerializer.read(media.loads(line))
    except InvalidInput as error:
        for found in error.issues:
            found["loc"][1:1] = [number]
        raise


def _times(entry: ImportedConversation) -> Iterator[datetime]:
    yield entry.created_at
    yield entry.updated_at or entry.created_at
    for message in entry.messages:
        yield message.timestamp


def _is_usual(at: datetime) -> bool:
    """Whether the time has an offset and an id can carry it."""
    return at.tzinfo is not None and 1970 < at.year < 9000


def _message(entry: ImportedMessage, level: str) -> NewMessage:
    (row,) = rows.messages([entry], level, entry.timestamp)
    # Of a content that was hidden where the export was made, only this is known.
    row.content_hash = row.content_hash or entry.content_hash
    return row


def _conversation(entry: ImportedConversation, messages: list[NewMessage]) -> NewConversation:
    # Retention relies on conversations being no younger than their messages.
    begun = min([entry.created_at, *(message.timestamp for message in messages)])
    last = max([begun, *(message.timestamp for message in messages)])
    return NewConversation(
        id=entry.id,
        created_at=begun,
        updated_at=max(entry.updated_at or last, begun),
        title=entry.title,
        system_prompt=entry.system_prompt,
        model_alias=starting.DEFAULT_ALIAS if entry.model_alias is None else entry.model_alias,
        temperature=starting.temperature(entry),
        max_tokens=entry.max_tokens,
        project_label=entry.project_id,
        origin=entry.origin,
        profile=entry.profile,
    )
