"""The limits of tiers and addresses: their status and their error.

They are counted in accounts/limits/request_limits.py (requests of a minute) and
accounts/limits/log_quotas.py (logs of a month).
"""

import math
from datetime import UTC, datetime
from typing import NamedTuple

from core.errors import DomainError


class RateLimitStatus(NamedTuple):
    """The status of a limit after a request. `reset` is the window's end in Unix seconds."""

    limit: int
    remaining: int
    reset: int

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that every reply to a limited request has."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset),
        }


class LimitExceeded(DomainError):
    """A window's limit is used up. `what` follows "limit of 60" in the message."""

    status_code = 429
    code = "limit_exceeded"

    def __init__(self, what: str, *, limit: int, reset: int, seconds: float) -> None:
        at = datetime.fromtimestamp(reset, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        super().__init__(f"The limit of {limit} {what} is reached; it is reset at {at}")
        self.headers = {
            **RateLimitStatus(limit, 0, reset).headers,
            "Retry-After": str(max(math.ceil(seconds), 1)),
        }
