"""The failures of MCP servers. Their texts are shown to callers and hold no URL or secret.

McpError
  Unreachable         no connection, or it was lost before the answer
  TimedOut            no complete answer in time
  ProtocolViolation   an answer that is not MCP, or too large
    HttpError         an HTTP status without a JSON-RPC message
  Refused             not called, or the server did not accept the credentials
  RpcError            the server answered with a JSON-RPC error
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException

import requests

from core import egress
from core.secrets import SecretUnreadable


class McpError(Exception):
    kind = ""  # one of mcp.models.ErrorKind


class Unreachable(McpError):
    kind = "unreachable"


class TimedOut(McpError):
    kind = "timeout"


class ProtocolViolation(McpError):
    kind = "protocol"


class Refused(McpError):
    kind = "refused"


class RpcError(McpError):
    """`code`, `message` and `data` of a JSON-RPC error."""

    kind = "tool"

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(f"The MCP server answered: {message[:2000]} ({code})")
        self.code, self.message, self.data = code, message, data


class HttpError(ProtocolViolation):
    """An HTTP status without a JSON-RPC message."""

    def __init__(self, status: int) -> None:
        super().__init__(f"The MCP server answered with status {status}")
        self.status = status


@contextmanager
def translated() -> Iterator[None]:
    """Raise the errors of HTTP calls in the block as McpErrors."""
    try:
        yield
    except egress.ForbiddenAddress as error:
        raise Refused(str(error)) from error
    except egress.TooLarge as error:
        raise ProtocolViolation(str(error)) from error
    except requests.Timeout as error:
        raise TimedOut("The MCP server did not answer in time") from error
    except (
        requests.exceptions.InvalidURL,
        requests.exceptions.InvalidHeader,
        UnicodeEncodeError,  # a header holds Latin-1 only
    ) as error:
        raise Refused("The MCP server's address or credentials cannot be sent") from error
    except requests.exceptions.SSLError as error:
        raise Unreachable("The MCP server was not reached: its certificate is refused") from error
    except requests.ConnectionError as error:
        raise _connection_failure(error) from error
    except requests.RequestException as error:
        raise ProtocolViolation(
            f"The MCP server's answer is no HTTP: {type(error).__name__}"
        ) from error
    except SecretUnreadable as error:
        raise Refused(str(error)) from error


def _connection_failure(error: requests.ConnectionError) -> McpError:
    for cause in _causes(error):
        if isinstance(cause, HTTPException) and not isinstance(cause, ConnectionError):
            return ProtocolViolation("The MCP server broke off its answer, or sent no HTTP")
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
