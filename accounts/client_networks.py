"""What one client can be counted by."""

from ipaddress import IPv6Address, ip_address

from django.http import HttpRequest

IPV6_BITS = 64  # of an address: one customer has as many addresses as they like below it


def network_of(address: str) -> str | None:
    """Return an IPv4 address as it is, also a mapped one, and the network of an IPv6 address.

    None for a text that is not an address.
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
    """Return the network of the client's address; a Unix socket has no address to count by."""
    address = request.META.get("REMOTE_ADDR", "")
    return network_of(address) or address
