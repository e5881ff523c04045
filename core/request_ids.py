"""The id of a request: in its reply, in every log line, and the client's own when it sends one."""

import re
from random import getrandbits

# What may stand in a header and in a log line without being taken for something else.
_ACCEPTABLE = re.compile(r"[\w.:/+=@-]{1,128}", re.ASCII)


def choose(sent: str | None) -> str:
    """Return the request's `X-Request-ID` if it is presentable, else a new random one."""
    if sent and _ACCEPTABLE.fullmatch(sent):
        return sent
    return f"{getrandbits(96):024x}"
