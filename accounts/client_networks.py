"""The networks by which clients are counted."""

from ipaddress import IPv6Address, ip_address

from django.http import HttpRequest

IPV6_BITS = 64  # a single customer gets a whole network of this size


def network_of(address: str) -> str | None:
    """Return an IPv4 address (also a mapped one), or the network of an IPv6 address.

    None if the text is not an address.
    """
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped:
            return str(ip.ipv4_mapped)
        return f"{IPv6Address(int(ip) >> IPV6_BITS << IPV6_BITS)}/{IPV6_BITS}"
    return str(ip)


def client_network(request: HttpRequest) -> str:
    """Return the network of the client's address; that of a Unix socket is unchanged."""
    address = request.META.get("REMOTE_ADDR", "")
    return network_of(address) or address
