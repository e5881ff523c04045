"""Outbound HTTP on the event loop: the policy of this package, for streams.

aiohttp, because nothing else that is well kept streams as cheaply (httpx walks its whole
pool for each request). A session follows no redirect, keeps no cookie, adds no header and
decodes nothing: what arrives is what was sent.
"""

import socket
import ssl
from pathlib import Path

import aiohttp
import certifi
from django.conf import settings

from core.egress.addresses import is_permitted

# Shorter than servers keep idle connections: few calls meet one that is being closed.
KEEP_ALIVE_SECONDS = 15


class ForbiddenAddressError(OSError):
    """The policy refuses the address; nothing was sent."""


def client_session(**options) -> aiohttp.ClientSession:
    """Return a session for permitted calls. Close it on the running loop, to which it belongs."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0,  # calls are bounded where they are admitted
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            ssl=_trusted(),
            socket_factory=_permitted_socket,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None),
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        **options,
    )


def _permitted_socket(address_info: tuple) -> socket.socket:
    """Return a socket for an address that was resolved. Raises ForbiddenAddressError."""
    family, kind, protocol, _, address = address_info
    if not is_permitted(address[0], private=settings.EGRESS == "private"):
        raise ForbiddenAddressError("the address is one that this server does not call")
    return socket.socket(family=family, type=kind, proto=protocol)


def _trusted() -> ssl.SSLContext:
    """Return the trust that `requests` has, too."""
    bundle = certifi.where() if settings.CA_BUNDLE is True else settings.CA_BUNDLE
    if Path(bundle).is_dir():
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)
