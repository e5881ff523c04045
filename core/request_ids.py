"""The id of a request, for its reply and its log lines: the client's, if it sends one."""

import re
from random import getrandbits

# Unambiguous in a header and in a log line.
_ACCEPTABLE = re.compile(r"[\w.:/+=@-]{1,128}", re.ASCII)


def choose(sent: str | None) -> str:
    """Return the request's `X-Request-ID` if it is acceptable, else a random id."""
    return sent if is_acceptable(sent) else f"{getrandbits(96):024x}"


def is_acceptable(sent: str | None) -> bool:
    """Return whether a header and a log line may have the id that a client sent."""
    return bool(sent and _ACCEPTABLE.fullmatch(sent))
