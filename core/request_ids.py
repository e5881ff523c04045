"""The id of a request: in its reply, in every log line, and the client's own when it sends one."""

import os
import re
from collections.abc import Mapping

# What may stand in a header and in a log line without being taken for something else.
_ACCEPTABLE = re.compile(r"[\w.:/+=@-]{1,128}", re.ASCII)


def of(environ: Mapping[str, str]) -> str:
    """Return the request's `X-Request-ID` if it is acceptable, else a new random one."""
    sent = environ.get("HTTP_X_REQUEST_ID")
    if sent and _ACCEPTABLE.fullmatch(sent):
        return sent
    return os.urandom(12).hex()
