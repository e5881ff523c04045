"""What requests are counted for, and what the shared stores answer about it."""

from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv6Network, ip_address
from typing import NamedTuple
from uuid import UUID

_IPV6_PREFIX = 64  # bits: one customer has as many addresses as they like below it


class Bucket(NamedTuple):
    """A project, or an address for one purpose; `what` is counted of it.

    `per_minute` is the limit as the caller knows it; that of a project is looked up again
    where it is counted.
    """

    holder: UUID
    per_minute: int
    what: str = "requests per minute"
    is_address: bool = False


@dataclass(slots=True)
class Taken:
    """How many requests were granted, and what then is left of the minute.

    `limit` is None when the project has none any more. `free` requests are leased and not
    used, `rest` are not leased. `reset` is the minute's end in Unix seconds.
    """

    granted: int
    limit: int | None
    free: int
    rest: int
    reset: int
    milliseconds: int  # until then

    @property
    def left(self) -> int:
        return self.free + self.rest


def of_address(address: str, *, per_minute: int, what: str) -> Bucket | None:
    """Return the bucket of an address, of IPv6 that of its network.

    None without a limit, or without an address, as on a Unix socket.
    """
    if not per_minute:
        return None
    try:
        ip = ip_address(address)
    except ValueError:
        return None
    network = IPv6Network((int(ip), _IPV6_PREFIX), strict=False) if ip.version == 6 else ip
    digest = sha256(f"{what}/{network}".encode()).digest()
    return Bucket(UUID(bytes=digest[:16]), per_minute, f"{what} from your address", True)
