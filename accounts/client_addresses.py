"""What one client can be counted by."""

from ipaddress import IPv6Address, ip_address

_SHARED_BITS = 64  # of an IPv6 address: whoever has one has all below it


def bucket_of(address: str) -> str:
    """Return the address, IPv6 by its network of 64 bits and mapped IPv4 as IPv4."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped:
            return str(ip.ipv4_mapped)
        return f"{IPv6Address(int(ip) >> _SHARED_BITS << _SHARED_BITS)}/{_SHARED_BITS}"
    return str(ip)
