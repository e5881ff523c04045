"""The failures of MCP servers. Their texts are sent to callers and contain no URL or secret.

McpError
  Unreachable         no connection, or it was lost before the answer
  TimedOut            no complete answer in time
    Cancelled         nobody waits for the answer any more
  ProtocolViolation   an answer that is not MCP, or too large
    HttpError         an HTTP status without a JSON-RPC message
    Rejected          the server turned the request away before running it
  Refused             not called: this server is against it
    Unauthorized      the server did not accept the credentials
  RpcError            the server answered with a JSON-RPC error
    ServerFault       it is about no request, and the server may have lost the session
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException, IncompleteRead

import requests

from core import egress
from core.secrets import SecretUnreadable

# Statuses of 4xx about the credentials, the time, the size and the number of requests.
_OTHER_REASONS = (401, 403, 408, 413, 429)


class McpError(Exception):
    kind = ""  # one of mcp.models.ErrorKind


class Unreachable(McpError):
    kind = "unreachable"


class TimedOut(McpError):
    kind = "timeout"


class Cancelled(TimedOut):
    """The caller has gone before there was an answer."""


class ProtocolViolation(McpError):
    """`request_id` is the request that an unreadable answer belongs to, if it shows."""

    kind = "protocol"
    request_id: int | None = None


class Refused(McpError):
    kind = "refused"


class NotSent(Refused):
    """Nothing was sent: the address is forbidden, or it or the credentials cannot be used."""


class Unauthorized(Refused):
    """The MCP server, or its token server, does not accept the credentials."""


class RpcError(McpError):
    """`code`, `message` and `data` of a JSON-RPC error."""

    kind = "tool"

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(f"The MCP server answered: {message[:2000]} ({code})")
        self.code, self.message, self.data = code, message, data


class ServerFault(RpcError):
    """A failure of the server itself, in a status of 5xx and about no request of ours.

    Some SDKs answer everything with it in a session whose loop has crashed.
    """


class HttpError(ProtocolViolation):
    """An HTTP status without a JSON-RPC message."""

    def __init__(self, status: int, content_type: str = "") -> None:
        is_plain = re.fullmatch(r"[\w.+-]{1,50}/[\w.+-]{1,50}", content_type, re.ASCII)
        body = f" and {content_type}, which is not MCP" if is_plain else ""
        super().__init__(f"The MCP server answered with status {status}{body}")
        self.status = status

    @property
    def is_rejection(self) -> bool:
        """Whether the request was turned away for what it is, so that it cannot have run."""
        return 400 <= self.status < 500 and self.status not in _OTHER_REASONS


class Rejected(ProtocolViolation):
    """The request was turned away before it ran: its session or revision may be outdated."""

    def __init__(self, reason: McpError) -> None:
        super().__init__(str(reason))
        self.reason = reason


@contextmanager
def translated() -> Iterator[None]:
    """Raise the errors of HTTP calls in the block as McpErrors."""
    try:
        yield
    except egress.ForbiddenAddress as error:
        raise NotSent(str(error)) from error
    except egress.TooLarge as error:
        raise ProtocolViolation(str(error)) from error
    except requests.Timeout as error:
        raise timed_out() from error
    except (
        requests.exceptions.InvalidURL,
        requests.exceptions.InvalidHeader,
        UnicodeEncodeError,  # a header holds Latin-1 only
    ) as error:
        raise NotSent("The MCP server's address or credentials cannot be sent") from error
    except requests.exceptions.SSLError as error:
        raise Unreachable("The MCP server was not reached: its certificate is refused") from error
    except requests.ConnectionError as error:
        raise _connection_failure(error) from error
    except requests.RequestException as error:
        raise ProtocolViolation(
            f"The MCP server's answer is not HTTP: {type(error).__name__}"
        ) from error
    except SecretUnreadable as error:
        raise NotSent(str(error)) from error


def timed_out() -> TimedOut:
    """Return the error of a call that is not waited for any longer."""
    if egress.is_cancelled():
        return Cancelled("The caller closed the connection before the MCP server answered")
    return TimedOut("The MCP server did not answer in time")


def _connection_failure(error: requests.ConnectionError) -> McpError:
    for cause in _causes(error):
        if isinstance(cause, IncompleteRead):
            return Unreachable("The connection to the MCP server was lost during its answer")
        if isinstance(cause, HTTPException) and not isinstance(cause, ConnectionError):
            return ProtocolViolation("The MCP server's answer is not HTTP")
        if isinstance(cause, OSError) and cause.strerror:
            return Unreachable(f"The MCP server was not reached: {cause.strerror}")
    return Unreachable("The MCP server was not reached, or closed the connection")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and its causes, however the libraries chain them."""
    seen, waiting = set(), [error]
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        inner = [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
        waiting += [cause for cause in inner if isinstance(cause, BaseException)]
