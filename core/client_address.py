"""The address of the client behind the proxies that the operator trusts."""

from ipaddress import ip_address

from django.conf import settings


def client_address(peer: str, forwarded_for: str) -> str:
    """Return the client's address: `peer`, or that of a trusted proxy's X-Forwarded-For.

    Each proxy appends the address of its client, so the list is read from its end as long
    as the addresses are trusted proxies; earlier entries may be forged.
    """
    address = peer
    for hop in reversed(forwarded_for.split(",")):
        if not _is_trusted(address):
            break
        hop = hop.strip().removeprefix("[").partition("]")[0]
        try:
            address = str(ip_address(hop))
        except ValueError:  # a port behind an IPv4 address, `unknown`, or nothing
            host = hop.partition(":")[0]
            if not _is_address(host):
                break
            address = host
    return address


def _is_trusted(address: str) -> bool:
    if not settings.TRUSTED_PROXIES or not _is_address(address):
        return False
    ip = ip_address(address)
    return any(ip in network for network in settings.TRUSTED_PROXIES)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
