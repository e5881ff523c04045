"""Safe retries: a POST with an `Idempotency-Key` is carried out once.

Source: docs/http-contract.md, section "Retries".
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial, wraps
from hashlib import sha256
from typing import Any
from uuid import UUID

import orjson
from django.db import transaction
from django.http import Http404
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from core import exact_json, ids, json_writer
from core.errors import DomainError, InvalidInput, issue
from core.models import IdempotentRequest

HEADER = "Idempotency-Key"
MAX_KEY_LENGTH = 255  # characters


def idempotency_header(description: str) -> OpenApiParameter:
    """Return the header for the OpenAPI document of a route."""
    return OpenApiParameter(HEADER, str, OpenApiParameter.HEADER, description=description)


IDEMPOTENCY_KEY = idempotency_header(
    "A retry with the same key and body gets the first reply; another body gets 409."
)


class IdempotencyKeyReused(DomainError):
    status_code = 409
    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__(f"{HEADER} was used before for a different request")


class FirstRequestUnfinished(DomainError):
    status_code = 409
    code = "first_request_unfinished"

    def __init__(self) -> None:
        super().__init__(f"The first request with this {HEADER} has no reply yet")


def checked_idempotency_key(header: str | None) -> str | None:
    """Return the `Idempotency-Key` of a request, None without one. Raises InvalidInput."""
    key = (header or "").strip()
    if len(key) > MAX_KEY_LENGTH or "\x00" in key:
        message = f"{HEADER} should have at most {MAX_KEY_LENGTH} characters"
        location = ["header", HEADER]
        raise InvalidInput(
            [issue("string_too_long", location, message, None, max_length=MAX_KEY_LENGTH)]
        )
    return key or None


def idempotent(handler: Callable | None = None, *, before: Callable[[], None] | None = None):
    """Decorate a view's method: a repeated request gets the reply to the first one.

    The reply is stored in the transaction that carries out the request, so there is never
    one without the other; requests with the same key wait for each other. A request that is
    refused stores nothing. `before` is called before the transaction, for network calls.
    """
    if handler is None:
        return partial(idempotent, before=before)

    @wraps(handler)
    def once(self, request, **kwargs):
        key = checked_idempotency_key(request.headers.get(HEADER))
        if key is None:
            return handler(self, request, **kwargs)
        if before is not None:
            before()
        with transaction.atomic():
            first, _ = _claim(request, key)
            if first.reply is not None:
                return Response(orjson.Fragment(first.reply))
            return _carry_out(handler, self, request, first, kwargs)

    once.happens_once = True  # core/views.py may repeat it, if it has a key
    return once


def idempotent_call(handler: Callable) -> Callable:
    """Decorate a view's method that calls another server: at most once for each key.

    No transaction is open during the call, so requests with the same key do not wait for each
    other: until there is a reply they raise FirstRequestUnfinished. If this process dies
    during the call, they always do, since the call may have been made. A request that is
    refused stores nothing.
    """

    @wraps(handler)
    def once(self, request, **kwargs):
        key = checked_idempotency_key(request.headers.get(HEADER))
        if key is None:
            return handler(self, request, **kwargs)
        first, is_new = _claim(request, key)
        if first.reply is not None:
            return Response(orjson.Fragment(first.reply))
        if not is_new:
            raise FirstRequestUnfinished
        try:
            return _carry_out(handler, self, request, first, kwargs)
        except (DomainError, Http404):
            first.delete()
            raise

    return once


def _carry_out(
    handler: Callable, view: Any, request: Request, first: IdempotentRequest, path: dict[str, str]
) -> Response:
    """Return the handler's response, after storing it for retries."""
    response = handler(view, request, **path)
    first.reply = json_writer.dumps(response.data).decode()
    first.subject_id = _subject(path, response.data)
    first.save(update_fields=["reply", "subject_id"])
    return response


def _claim(request: Request, key: str) -> tuple[IdempotentRequest, bool]:
    """Return the record of the key, with the reply if there is one, and whether it is new.

    Waits for a transaction that claims the same key. Raises IdempotencyKeyReused, and
    FirstRequestUnfinished if that transaction was rolled back.
    """
    new = IdempotentRequest(
        id=ids.uuid7(),
        project_id=request.auth.project_id,
        fingerprint=sha256(f"{_route(request.path_info)}\n{key}".encode()).hexdigest(),
        body_digest=_digest(request),
    )
    IdempotentRequest.objects.bulk_create([new], ignore_conflicts=True)
    own = IdempotentRequest.objects.for_caller(request.auth)
    first = own.filter(fingerprint=new.fingerprint).first()
    if first is None:
        raise FirstRequestUnfinished
    if first.body_digest != new.body_digest:
        raise IdempotencyKeyReused
    return first, first.id == new.id


def _route(path: str) -> str:
    """Return the path without prefix and trailing slash, which are optional."""
    return path.removeprefix("/api/v1").rstrip("/")


def _digest(request: Request) -> str:
    """Return the SHA-256 of query and body; of JSON regardless of the order of members."""
    body = request.body
    with suppress(InvalidInput, TypeError, RecursionError):  # NDJSON, or refused later
        body = json_writer.dumps(exact_json.loads(body), sort_keys=True)
    query = request.META.get("QUERY_STRING", "")
    return sha256(query.encode("utf-8", "surrogateescape") + b"\n" + body).hexdigest()


def _subject(path: Mapping[str, Any], reply: Any) -> UUID | None:
    """Return the id of the row that a reply is about, from the path or the reply."""
    members = reply if isinstance(reply, dict) else {}
    named = [*path.values(), members.get("conversation_id"), members.get("id")]
    for value in filter(None, named):
        try:
            return UUID(str(value))
        except ValueError:
            continue
    return None
