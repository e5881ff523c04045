"""The shape of all errors, and the handler that produces it.

    DomainError          a rule was broken: `{"detail": "<text>"}`
      InvalidInput       malformed input: 422, `{"detail": [{type, loc, msg, input, ctx?}, …]}`

Below /manage the shape is the one that clients of the management API know: `{"error",
"code"}`, with `fields` and 400 for malformed input.
Source: docs/http-contract.md, section "Errors"; docs/gateway.md, section "Management API".
"""

import logging
import re
from dataclasses import dataclass

import orjson
import psycopg
import psycopg_pool
from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from core.database.lost_connections import OPERATIONAL

logger = logging.getLogger(__name__)

_CODED = re.compile(r"/manage(/|$)")
# Where a row is, in the pages of its table; French and Chinese have a blank, Korean no brackets.
_PLACE_OF_ROW = re.compile(r".*\b\d+, ?\d+\b")
_SESSION = {"WWW-Authenticate": "Session"}
MAX_INPUT = 500  # characters of a refused input that its error repeats

# Raised by the database layer if the server is unavailable, takes no writes, or all
# connections are in use.
DATABASE_AWAY = (
    OperationalError,
    InterfaceError,
    *OPERATIONAL,
    psycopg_pool.PoolTimeout,
)


class DomainError(Exception):
    """A rule was broken. The caller gets `str(error)` as `detail`."""

    status_code = 400
    code = "error"
    headers: dict[str, str] = {}

    @property
    def detail(self) -> object:
        return str(self)


class InvalidInput(DomainError):
    """The input is malformed; `issues` are entries made by `issue()`."""

    status_code = 422
    code = "invalid_input"

    def __init__(self, issues: list[dict]) -> None:
        super().__init__("; ".join(entry["msg"] for entry in issues))
        self.issues = issues

    @property
    def detail(self) -> list[dict]:
        return self.issues


class DatabaseUnavailable(DomainError):
    status_code = 503
    code = "database_unavailable"
    headers = {"Retry-After": "1"}

    def __init__(self) -> None:
        super().__init__("The database is not available; try again")


class BodyTooLarge(DomainError):
    status_code = 413
    code = "body_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is larger than {limit} bytes")


class QueryTooSlow(DomainError):
    """The database canceled a statement after `settings.STATEMENT_TIMEOUT_SECONDS`."""

    status_code = 503
    code = "query_too_slow"

    def __init__(self) -> None:
        super().__init__(
            f"The query took longer than {settings.STATEMENT_TIMEOUT_SECONDS} seconds; narrow it"
        )


class RowLocked(DomainError):
    """Another request kept a row locked until this one's statement timed out."""

    status_code = 503
    code = "row_locked"
    headers = {"Retry-After": "1"}

    def __init__(self) -> None:
        super().__init__("Another request is changing the same; try again")


def is_timeout(error: Exception) -> bool:
    """Return whether a database error is a statement timeout."""
    return _cancellation(error) is not None


def _cancellation(error: BaseException | None) -> psycopg.errors.QueryCanceled | None:
    for each in (error, error and error.__cause__):
        if isinstance(each, psycopg.errors.QueryCanceled):
            return each
    return None


def _waited_for_row(error: Exception) -> bool:
    """Return whether a canceled statement waited for a row lock: its context begins with the place.

    The words around it are in the server's language: "while updating tuple (0,1) in …".
    """
    canceled = _cancellation(error)
    return canceled is not None and bool(_PLACE_OF_ROW.match(canceled.diag.context or ""))


def is_coded(path: str) -> bool:
    """Return whether errors at the path have a code, as the older proxy's management API."""
    return _CODED.match(path) is not None


def issue(type: str, loc: list, msg: str, input: object, **context: object) -> dict:
    """Return one entry of a 422 body. `loc` begins with `body`, `query`, `path` or `header`.

    A long input is shortened or left out, and so is one that is nested too deeply.
    """
    entry = {"type": type, "loc": loc, "msg": msg, "input": _repeatable(input)}
    return {**entry, "ctx": context} if context else entry


def _repeatable(input: object) -> object:
    if isinstance(input, str):
        return input if len(input) <= MAX_INPUT else f"{input[:MAX_INPUT]}…"
    try:
        return input if len(orjson.dumps(input, default=str)) <= MAX_INPUT else None
    except TypeError:  # nested too deeply, or with integers beyond 64 bits
        return None


@dataclass(frozen=True, slots=True)
class Failure:
    """The reply to an error."""

    status: int
    detail: object
    headers: dict[str, str]
    code: str

    def at(self, path: str) -> tuple[int, dict]:
        """Return status and body in the shape of the routes at `path`.

        `path` does not include that of a mount.
        """
        if not is_coded(path):
            return self.status, {"detail": self.detail}
        if not isinstance(self.detail, list):
            return self.status, {"error": str(self.detail), "code": self.code}
        # Without the inputs, which may be secret.
        fields = dict(map(_field, self.detail))
        text = "; ".join(
            msg if name == "body" else f"{name}: {msg}" for name, msg in fields.items()
        )
        return 400, {"error": text, "code": self.code, "fields": fields}


def _field(entry: dict) -> tuple[str, str]:
    """Return the member that an entry is about, or `body`, and its message."""
    if fault := body_fault(entry):
        return "body", fault
    return ".".join(map(str, entry["loc"][1:])) or entry["loc"][0], entry["msg"]


def body_fault(entry: dict) -> str | None:
    """Return the message about a body that is not JSON at all; None for other faults."""
    match entry:
        case {"type": "json_invalid", "loc": [_, position], "ctx": {"error": reason}}:
            return f"The body is not valid JSON: {reason} at character {position}"
        case {"type": "json_invalid", "ctx": {"error": reason}}:
            return f"The body is not valid JSON: {reason}"
        case {"type": "missing", "loc": [_]}:
            return "A JSON object is required"
    return None


def failure(error: Exception) -> Failure | None:
    """Return the reply to an error; None for a bug, which stays a 500 with a traceback."""
    error = _translate(error)
    if error is None:
        return None
    if isinstance(error, DomainError):
        # A 401 needs a challenge (RFC 9110); those of keys and tokens have their own.
        headers = _SESSION | error.headers if error.status_code == 401 else error.headers
        return Failure(error.status_code, error.detail, headers, error.code)
    headers = {}
    if getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = error.auth_header
    return Failure(error.status_code, error.detail, headers, error.default_code)


def exception_handler(error: Exception, context: dict) -> Response | None:
    """Return DRF's reply to what a view raised; None for a bug."""
    if (reply := failure(error)) is None:
        return None
    status, body = reply.at(context["request"].path_info)
    return Response(body, status=status, headers=reply.headers)


def _translate(error: Exception) -> DomainError | exceptions.APIException | None:
    match error:
        case exceptions.MethodNotAllowed():
            error.detail = "Method Not Allowed"
            return error
        case exceptions.ParseError():
            error.default_code = "malformed_body"  # DRF's own is in no table of ours
            return error
        case DomainError() | exceptions.APIException():
            return error
        case Http404():
            # The texts of views name the resource; Django's own name models and queries.
            text = str(error)
            return exceptions.NotFound(text if text.endswith("not found") else "Not Found")
        case PermissionDenied():
            return exceptions.PermissionDenied()
        case RequestDataTooBig():
            return BodyTooLarge(settings.MAX_BODY_BYTES)
        case _ if _waited_for_row(error):
            return RowLocked()
        case _ if is_timeout(error):
            return QueryTooSlow()
        case _ if isinstance(error, DATABASE_AWAY):
            # Its text names host, file and reason, never the password.
            reason = " ".join(str(error).split())
            logger.error("database unavailable: %s: %s", type(error).__name__, reason)
            return DatabaseUnavailable()
    return None
