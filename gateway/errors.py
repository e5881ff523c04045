"""Errors of the gateway. Each protocol writes them in its own format.

Source: docs/gateway.md, section "Errors".
"""

from core.errors import DomainError

# The official SDKs give up at once on a longer `Retry-After`.
MAX_RETRY_AFTER = 120  # seconds
_MAX_QUOTED_PATH = 200  # characters


class GatewayError(DomainError):
    """A call that is refused, or that no upstream answered.

    `can_retry`: the same call may succeed later. `param` names the member of the body at fault.
    """

    status_code = 400
    code = "invalid_request"
    can_retry = False
    param: str | None = None

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class InvalidToken(GatewayError):
    status_code = 401
    code = "invalid_token"
    headers = {"WWW-Authenticate": "Bearer"}


class TokenNotFound(InvalidToken):
    code = "token_not_found"


class TokenInactive(InvalidToken):
    code = "token_inactive"


class TokenExpired(InvalidToken):
    code = "token_expired"


class ProjectInactive(GatewayError):
    status_code = 403
    code = "project_inactive"


class EndpointNotFound(GatewayError):
    status_code = 404
    code = "endpoint_not_found"


class UnknownEndpoint(EndpointNotFound):
    """An endpoint that is not relayed, or a base URL that is not the gateway's."""

    def __init__(self, method: str, path: str, advice: str = "") -> None:
        super().__init__(f"Endpoint not found: {method} {path[:_MAX_QUOTED_PATH]}{advice}")


class OtherAPI(UnknownEndpoint):
    """An endpoint of an API that the gateway does not speak."""

    def __init__(self, method: str, path: str) -> None:
        super().__init__(method, path, ". The gateway speaks OpenAI's API alone, at /v1")


class MethodNotAllowed(GatewayError):
    status_code = 405
    code = "method_not_allowed"

    def __init__(self, method: str, path: str, allowed: tuple[str, ...]) -> None:
        super().__init__(f"Method not allowed: {method} {path[:_MAX_QUOTED_PATH]}")
        self.headers = {"Allow": ", ".join(allowed)}


class UpgradeRefused(GatewayError):
    """At this status clients fall back to plain HTTP."""

    status_code = 426
    code = "websocket_not_supported"
    headers = {"Connection": "close"}


class NotServed(GatewayError):
    status_code = 501
    code = "not_served"


class EndpointNotAllowed(GatewayError):
    status_code = 403
    code = "endpoint_not_allowed"


class ModelNotAllowed(GatewayError):
    status_code = 403
    code = "model_not_allowed"

    def __init__(self, message: str, *, param: str | None = "model") -> None:
        super().__init__(message, param=param)


class ModelNotFound(GatewayError):
    """A model that is looked up, and that the token may not use."""

    status_code = 404
    code = "model_not_found"


class ParamNotAllowed(GatewayError):
    code = "param_not_allowed"


class OriginRequired(GatewayError):
    code = "origin_required"


class HeaderRequired(GatewayError):
    code = "header_required"


class OriginNotAllowed(GatewayError):
    status_code = 403
    code = "origin_not_allowed"


class ObjectsShared(GatewayError):
    """The upstream tells projects apart by their keys, and several share this one."""

    status_code = 403
    code = "shared_upstream_key"


class RequestIncomplete(GatewayError):
    """The client did not send all of its body, or took too long."""

    status_code = 408
    code = "request_incomplete"
    can_retry = True


class RequestTooLarge(GatewayError):
    status_code = 413
    code = "request_too_large"


class FormCompressed(GatewayError):
    """Forms pass as they arrive, and are read on the way."""

    status_code = 415
    code = "unsupported_coding"
    headers = {"Accept-Encoding": "identity"}


class QuotaUsedUp(GatewayError):
    """A limit that no waiting renews: trying again cannot help."""

    status_code = 429


class RequestsUsedUp(QuotaUsedUp):
    """The token's own limit in all."""

    code = "rate_limit_exceeded"


class BudgetExceeded(QuotaUsedUp):
    code = "budget_exceeded"


class RetryLater(GatewayError):
    """A call that may succeed after so many seconds."""

    can_retry = True

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.headers = {"Retry-After": str(min(max(retry_after, 1), MAX_RETRY_AFTER))}


class RateLimited(RetryLater):
    """The token's limit of this minute."""

    status_code = 429
    code = "rate_limit_exceeded"


class Unbounded(GatewayError):
    """A token with a budget makes a call whose cost has no known bound."""

    status_code = 403
    code = "cost_unbounded"


class Busy(GatewayError):
    status_code = 503
    code = "concurrency_limit"
    can_retry = True
    headers = {"Retry-After": "1"}


class UpstreamSuspended(RetryLater):
    """The upstream failed several times; it is not asked for a while."""

    status_code = 503
    code = "upstream_suspended"


class UpstreamUnusable(GatewayError):
    """The upstream is switched off, or its configuration is not understood."""

    status_code = 503
    code = "upstream_unusable"


class UpstreamAuthError(GatewayError):
    status_code = 503
    code = "upstream_auth_error"


class UpstreamUnreachable(GatewayError):
    """No connection: nothing was sent."""

    status_code = 502
    code = "upstream_unreachable"
    can_retry = True


class UpstreamBroken(GatewayError):
    """The request was sent, and no usable answer came: it may have been billed."""

    status_code = 502
    code = "upstream_disconnected"


class ServerStopped(GatewayError):
    """This process has to end, and waits no longer for an answer, which may be billed."""

    status_code = 503
    code = "server_stopped"


class UpstreamUndecodable(GatewayError):
    """Its error has a coding in which its key cannot be searched for."""

    status_code = 502
    code = "upstream_undecodable"


class UpstreamRedirects(GatewayError):
    status_code = 502
    code = "upstream_redirects"


class UpstreamTimeout(GatewayError):
    status_code = 504
    code = "timeout"


class NoRoom(GatewayError):
    """No disk of this server has room for a form that is checked before it is sent."""

    status_code = 503
    code = "no_room"
    can_retry = True
