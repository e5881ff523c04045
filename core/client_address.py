"""The address of the client behind the proxies that the operator trusts."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from django.conf import settings


def client_address(peer: str, forwarded_for: str) -> str:
    """Return the client's address: `peer`, or that of a trusted proxy's X-Forwarded-For.

    Each proxy appends the address of its client, so the list is read from its end while
    the addresses are trusted proxies; earlier entries may be forged. A peer without an
    address (a Unix socket) is returned unchanged.
    """
    if not forwarded_for:
        return _canonical(peer)
    if (address := parse(peer)) is None:
        return peer
    for hop in reversed(forwarded_for.split(",")):
        if not _is_trusted(address) or (client := parse(hop)) is None:
            break
        address = client
    return str(address)


@lru_cache(maxsize=4096)
def _canonical(peer: str) -> str:
    return str(parse(peer) or peer)


def _is_trusted(address: IPv4Address | IPv6Address) -> bool:
    return any(address in network for network in settings.TRUSTED_PROXIES)


@lru_cache(maxsize=4096)
def parse(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address in a text, also beside a port; None for `unknown` and the like.

    IPv4 in IPv6 (`::ffff:192.0.2.7`) becomes IPv4.
    """
    text = text.strip().removeprefix("[").partition("]")[0]
    for host in (text, text.partition(":")[0]):
        try:
            address = ip_address(host)
        except ValueError:
            continue
        return getattr(address, "ipv4_mapped", None) or address
    return None
