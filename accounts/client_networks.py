"""The networks by which clients are counted."""

from ipaddress import IPv6Address

from django.http import HttpRequest

from core import client_address

IPV6_BITS = 64  # a single customer gets a whole network of this size


def network_of(address: str) -> str | None:
    """Return an IPv4 address (also a mapped one), or the network of an IPv6 address.

    None if the text is not an address.
    """
    ip = client_address.parse(address)
    if isinstance(ip, IPv6Address):
        return f"{IPv6Address(int(ip) >> IPV6_BITS << IPV6_BITS)}/{IPV6_BITS}"
    return ip and str(ip)


def client_network(request: HttpRequest) -> str:
    """Return the network of the client's address; that of a Unix socket is unchanged."""
    address = request.META.get("REMOTE_ADDR", "")
    return network_of(address) or address
