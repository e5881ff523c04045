"""Export and import: a line of JSON for each conversation, with all its messages."""

from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from itertools import islice
from uuid import UUID

from django.db import IntegrityError, connection, transaction

from conversations import payloads, privacy, services, storage
from conversations.models import Conversation
from conversations.payloads import CONVERSATION_COLUMNS
from conversations.schemas.imports import ImportedConversation
from conversations.storage import PreparedConversation, Row
from core import ids, json_writer, parsing
from core.database.timeouts import lift_limit
from core.errors import DomainError, InvalidInput, issue
from core.scoping import Caller

CONVERSATIONS_PER_READ = 200
MESSAGES_PER_READ = 2_000
CONVERSATIONS_PER_STATEMENT = 500


class ImportConflict(DomainError):
    status_code = 409
    code = "import_conflict"


def export_lines(caller: Caller, *, only: UUID | None = None) -> Iterator[bytes]:
    """Yield the NDJSON of the caller's conversations, in the order of their ids, in pieces."""
    own = Conversation.objects.for_caller(caller).order_by("id")
    if only:
        own = own.filter(id=only)
    rows = own.values_list(*CONVERSATION_COLUMNS.values(), "last_position")
    after = UUID(int=0)
    while chunk := list(rows.filter(id__gt=after)[:CONVERSATIONS_PER_READ]):
        for *row, last_position in chunk:
            [conversation] = payloads.conversation_payloads([row])
            yield json_writer.dumps(conversation)[:-1] + b',"messages":['
            yield from _export_messages(caller, conversation["id"], last_position)
            yield b"]}\n"
        after = conversation["id"]


def _export_messages(caller: Caller, conversation_id: UUID, last: int) -> Iterator[bytes]:
    position, separator = 0, b""
    while position < last:
        with connection.cursor() as cursor:
            messages, position = payloads.read_after(
                cursor,
                caller,
                conversation_id,
                position=position,
                last=last,
                limit=MESSAGES_PER_READ,
            )
        # A slow reader must not hold a connection for as long as it reads.
        if not connection.in_atomic_block:
            connection.close()
        if messages:
            yield separator + json_writer.dumps(messages)[1:-1]
            separator = b","


def import_lines(caller: Caller, body: bytes) -> dict[str, int]:
    """Store the conversations of an export, all or none, and return how many were stored.

    A conversation that the caller has already is skipped. One whose id is another
    project's gets another one. Messages get new ids, which carry their times.
    Raises InvalidInput, TrackingDisabled, MessageLoggingDisabled, ImportConflict.
    """
    services.check_tracking()
    services.check_message_logging()
    level = privacy.effective(privacy.FULL)
    conversations = [_read(number, line) for number, line in _lines(body)]
    imported = messages = 0
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            lift_limit()
            new = _new_conversations(caller, conversations, level)
            while group := [*islice(new, CONVERSATIONS_PER_STATEMENT)]:
                storage.insert(cursor, *group)
                imported += len(group)
                messages += sum(one.row["message_count"] for one in group)
    except IntegrityError:
        raise ImportConflict("The same conversations are being imported already") from None
    skipped = len(conversations) - imported
    return {"imported": imported, "skipped": skipped, "messages": messages}


def _new_conversations(
    caller: Caller, conversations: Sequence[ImportedConversation], level: str
) -> Iterator[PreparedConversation]:
    """Yield those that the caller does not have yet, ready to be stored."""
    replacements = {one.id: _replacement_id(caller, one) for one in conversations}
    stored = Conversation.objects.filter(id__in=[*replacements, *replacements.values()])
    owners = dict(stored.values_list("id", "project_id"))
    for imported in conversations:
        replacement = replacements[imported.id]
        if caller.project_id in (owners.get(imported.id), owners.get(replacement)):
            continue
        columns = _columns(imported)
        if imported.id in owners:
            columns["id"] = replacement
        owners[imported.id] = caller.project_id
        deleted = 1 if _lacks_messages(imported) else 0  # nobody knows how many
        yield storage.prepare(caller, columns, _message_rows(imported, level), deleted=deleted)


def _lines(body: bytes) -> list[tuple[int, bytes]]:
    """Return the lines with their numbers, blank ones left out. Raises InvalidInput."""
    pieces = body.removeprefix(BOM_UTF8).split(b"\n")
    lines = [(number, line) for number, line in enumerate(pieces) if line.strip()]
    if not lines:
        raise InvalidInput([issue("missing", ["body"], "Field required", None)])
    return lines


def _read(number: int, line: bytes) -> ImportedConversation:
    """Return the conversation of a line. Raises InvalidInput, naming the line from 0."""
    return parsing.parse(ImportedConversation, line, loc=("body", number))


def _replacement_id(caller: Caller, imported: ImportedConversation) -> UUID:
    """Return the id that the conversation gets when its own is another project's.

    Always the same, so that a conversation imported twice is stored once.
    """
    return ids.derived(imported.created_at, caller.project_id.bytes + imported.id.bytes)


def _message_rows(imported: ImportedConversation, level: str) -> list[Row]:
    """Return the rows of the messages, which get new ids and keep their branches."""
    rows: list[Row] = []
    new_ids: dict[str, UUID] = {}
    for message in imported.messages:
        [row] = storage.message_rows([message], level, message.timestamp)
        if "content_hash" not in row and message.content_hash:
            # The content was hidden where the export was made; only its hash is known.
            row["content_hash"] = message.content_hash
        if "parent_id" in message.model_fields_set:
            # A parent that the export lacks was deleted by age: its branches stay apart.
            row["parent_id"] = new_ids.get(str(message.parent_id))
        else:
            row["parent_id"] = rows[-1]["id"] if rows else None
        if message.id is not None:
            new_ids[str(message.id).lower()] = row["id"]
        rows.append(row)
    return rows


def _lacks_messages(imported: ImportedConversation) -> bool:
    """Return whether messages were deleted by age where the export was made."""
    if not imported.messages:
        return imported.last_message_at is not None
    ids = {str(message.id).lower() for message in imported.messages}
    return any(
        message.parent_id is not None and str(message.parent_id) not in ids
        for message in imported.messages
    )


def _columns(imported: ImportedConversation) -> Row:
    times = [message.timestamp for message in imported.messages]
    # Retention relies on conversations being no younger than their messages.
    created_at = min([imported.created_at, *times])
    last = max([created_at, *times])
    return services.conversation_columns(imported) | {
        "id": imported.id,
        "created_at": created_at,
        "updated_at": max(imported.updated_at or last, created_at),
        "last_message_at": max([*times, *filter(None, [imported.last_message_at])], default=None),
        "template_id": None,
    }
