"""Which network addresses this server may call. Nothing here uses the network."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

# Metadata services, where clouds give credentials to any program on the machine, and the
# link-local networks that they are in. No setting permits these.
_METADATA = [
    ip_network(network)
    for network in (
        "169.254.0.0/16",  # AWS, Azure, Google, Oracle and most others
        "fe80::/10",
        "fd00:ec2::/32",  # AWS
        "fd20:ce::/32",  # Google
        "100.100.100.200/32",  # Alibaba
        "168.63.129.16/32",  # Azure's host
        "192.0.0.192/32",  # Oracle's first generation
    )
]
_NAT64 = ip_network("64:ff9b::/96")


def is_permitted(address: str, *, private: bool) -> bool:
    """Return whether a numeric address may be called; `private` permits private networks.

    An IPv6 address that embeds an IPv4 address has to be permitted as both.
    """
    ip = ip_address(address.partition("%")[0])
    return all(_is_permitted(each, private) for each in (ip, *_inside(ip)))


def _is_permitted(ip: IPv4Address | IPv6Address, private: bool) -> bool:
    if any(ip in network for network in _METADATA) or ip.is_multicast:
        return False
    if _inside(ip):
        return True  # the IPv4 address decides
    if private:
        return not ip.is_reserved or ip.is_loopback
    return ip.is_global


def _inside(ip: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """Return the IPv4 addresses that packets to an IPv6 address would reach."""
    if isinstance(ip, IPv4Address):
        return []
    embedded = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
    # ::1 and :: are not IPv4 addresses, though they look like 0.0.0.1 and 0.0.0.0.
    if ip in _NAT64 or 1 < int(ip) < 2**32:
        embedded.append(IPv4Address(int(ip) & 0xFFFFFFFF))
    return [each for each in embedded if each is not None]
