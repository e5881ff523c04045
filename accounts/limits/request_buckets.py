"""The buckets that requests are counted in, and what PostgreSQL and Redis grant of them."""

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from accounts.client_networks import network_of


class Bucket(NamedTuple):
    """A project, or an address for one purpose; `what` is counted of it.

    `per_minute` is the limit that the caller was cached with; the database looks up that of
    a project again.
    """

    holder: UUID
    per_minute: int
    what: str = "requests per minute"
    is_address: bool = False


@dataclass(slots=True)
class Taken:
    """How many requests were granted, and how many are left of the minute.

    `limit` is None when the project no longer has one. `free` requests are leased and not
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

    def without_rest(self) -> "Taken":
        """Return a copy for the case that everything is leased and used."""
        return replace(self, free=0, rest=0)


def of_address(address: str, *, per_minute: int, what: str) -> Bucket | None:
    """Return the bucket of an address, or of the network of an IPv6 address.

    None without a limit, or without an address, as on a Unix socket.
    """
    network = network_of(address) if per_minute else None
    if network is None:
        return None
    digest = sha256(f"{what}/{network}".encode()).digest()
    return Bucket(UUID(bytes=digest[:16]), per_minute, f"{what} from your address", True)
