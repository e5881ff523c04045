"""Outbound HTTP: which addresses may be called, for how long, and how much they may return.

    with egress.time_limit(20), egress.session() as session:
        with session.get(url, timeout=(3, 10), stream=True) as response:
            body = egress.read(response, limit=2**20)

Every connection is checked where it is opened: the name is resolved, forbidden
addresses are dropped, and the socket is connected to one of the others. No second
lookup can lead elsewhere (DNS rebinding), and a redirect is checked like any other
call. Proxies and credentials of the environment are ignored: a proxy would resolve
names itself.

    requests.RequestException
      ForbiddenAddress    the policy refuses the address; nothing was sent
      TooLarge            the answer is longer than the limit
      requests.Timeout, requests.ConnectionError, …
"""

from core.egress.cancellation import cancellable, is_cancelled
from core.egress.checked_connections import CONNECT_SECONDS, ForbiddenAddress, check_host
from core.egress.deadlines import time_limit
from core.egress.sessions import TooLarge, pieces, read, session
from core.origins import origin

__all__ = [
    "CONNECT_SECONDS",
    "ForbiddenAddress",
    "TooLarge",
    "cancellable",
    "check_host",
    "is_cancelled",
    "origin",
    "pieces",
    "read",
    "session",
    "time_limit",
]
