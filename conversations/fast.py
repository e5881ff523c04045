"""The conversation routes that models wait for, on the edge (core/fast_lane.py)."""

from collections.abc import Callable

from django.http import Http404
from rest_framework.exceptions import ParseError

from accounts.authentication import cached_caller
from conversations import calls, privacy, services
from conversations.schemas import LoggedCall, MessageBatch, NewConversation, NewMessage, OpenQuery
from core import bridge, media, schemas
from core.fast_lane import Answer, body_of, borrowed_connection
from core.paths import uuid_in_path
from core.scoping import Caller


def create(environ: dict) -> Answer | None:
    return _answer(
        environ,
        NewConversation,
        lambda caller, body: bridge.run(services.create_conversation(caller, body)),
    )


def log(environ: dict, *, receipt_issuer) -> Answer | None:
    return _answer(
        environ,
        LoggedCall,
        lambda caller, body: bridge.run(calls.log_call(caller, body, receipt_issuer())),
    )


def append(environ: dict, conversation_id: str) -> Answer | None:
    def call(caller: Caller, body: NewMessage):
        id = uuid_in_path(conversation_id, "conversation_id")
        if privacy.effective(body.logging_level) == privacy.NONE:
            return None
        [message] = services.append_messages(caller, id, [body], body.logging_level, path=("body",))
        return message

    return _answer(environ, NewMessage, call)


def append_batch(environ: dict, conversation_id: str) -> Answer | None:
    def call(caller: Caller, body: MessageBatch):
        id = uuid_in_path(conversation_id, "conversation_id")
        services.check_message_logging()
        return services.append_messages(caller, id, body.messages, body.logging_level)

    return _answer(environ, MessageBatch, call)


def opened(environ: dict, conversation_id: str) -> Answer | None:
    caller = cached_caller(environ)
    if caller is None:
        return None
    query = schemas.parse_query(OpenQuery, environ.get("QUERY_STRING", ""))
    limit = query.message_limit if query.include_messages else 0
    try:
        id = uuid_in_path(conversation_id, "conversation_id")
        reply = services.open_conversation(caller, id, message_limit=limit)
    except Http404:
        return None
    return Answer(media.dumps(reply))


def _answer(environ: dict, model: type, call: Callable) -> Answer | None:
    caller = cached_caller(environ)
    if caller is None or "HTTP_IDEMPOTENCY_KEY" in environ:
        return None
    body = body_of(environ)
    if body is None:
        return None
    try:
        value = schemas.parse(model, body, content_type=environ.get("CONTENT_TYPE", ""))
        with borrowed_connection():
            reply = call(caller, value)
    except (Http404, ParseError):
        return None
    return None if reply is None else Answer(media.dumps(reply))
