"""Readers of variables that name addresses: hosts, URLs, services, senders.

As those of env.py, they raise `ImproperlyConfigured`, and repeat nothing that may hold a password.
"""

import email.policy
import re
from collections.abc import Iterable
from email.errors import ObsoleteHeaderDefect
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, unquote, urlsplit

from core.origins import DEFAULT_PORTS
from llmring_site.env import invalid, secret_line, string_list, text

_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?"
_ADDRESS = r"\[[0-9A-Fa-f:.]+\]"
# Segments that only consist of dots are resolved by clients.
_PATH = r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)*/?"


def hosts(name: str, default: Iterable[str]) -> list[str]:
    """Return host names; `*` is any, a leading dot also means all subdomains."""
    names = string_list(name, default)
    accepted = (
        "host names without scheme, port or path, such as llm.example.com, "
        ".example.com (all below it) or [::1]"
    )
    if not names:
        raise invalid(name, accepted)
    for item in names:
        if not re.fullmatch(rf"\*|\.?{_NAME}|{_ADDRESS}", item):
            raise invalid(name, accepted, item)
    return names


def origins(name: str, default: Iterable[str]) -> list[str]:
    """Return origins as browsers send them; `*` is any, `https://*.example.com` all below it."""
    return [_origin(name, item) for item in string_list(name, default)]


def _origin(name: str, item: str) -> str:
    if item in ("*", "null"):
        return item
    try:
        parts = urlsplit(item)
        well_formed = bool(parts.hostname) and item == f"{parts.scheme}://{parts.netloc}"
        well_formed &= bool(re.fullmatch(r"(\*\.)?[^*@\s]+", parts.netloc)) and parts.scheme != ""
        origin = origin_of(parts)
    except ValueError:
        well_formed = False
    if not well_formed:
        raise invalid(name, "origins without path or slash, such as https://app.example.com", item)
    return origin


def networks(name: str) -> list[IPv4Network | IPv6Network]:
    """Return the addresses and networks that are listed."""
    try:
        return [ip_network(item) for item in string_list(name)]
    except ValueError as error:
        raise invalid(name, f"addresses or networks such as 10.0.0.0/8 ({error})") from None


def url(name: str, default: str, *, schemes: Iterable[str] = ("http", "https")) -> str:
    """Return an address with one of the schemes; "" when unset and without default."""
    return _checked(name, text(name, default), schemes)


def _checked(name: str, value: str, schemes: Iterable[str]) -> str:
    """Return the variable's value, which is an address with one of the schemes, or ""."""
    if not value:
        return value
    try:
        parts = urlsplit(value)
        local = parts.scheme == "unix" and parts.path
        well_formed = parts.scheme in set(schemes) and bool(parts.hostname or local)
        well_formed &= parts.port != 0 and not re.search(r"[\s\x00-\x1f\x7f]", value)
    except ValueError:  # a bad port
        well_formed = False
    if not well_formed:
        # It may hold a password: it is not repeated.
        raise invalid(name, "an address beginning with " + " or ".join(f"{s}://" for s in schemes))
    return value


def base_url(name: str, default: str) -> str:
    """Return an http address to which paths are added; "" when unset and without default."""
    value = url(name, default)
    if "?" in value or "#" in value:  # it may hold a password: it is not repeated
        raise invalid(name, "an address without query and fragment")
    return value


def public_url(name: str, default: str) -> str:
    """Return the address of a site in the spelling that browsers send, without a final slash."""
    parts = urlsplit(base_url(name, default))
    try:
        origin = origin_of(parts)
        well_formed = bool(re.fullmatch(rf"https?://(?:{_NAME}|{_ADDRESS})(?::\d+)?", origin))
    except UnicodeError:
        well_formed = False
    if not well_formed or parts.username or not re.fullmatch(_PATH, parts.path):
        raise invalid(
            name, "an address such as https://llm.example.com or https://example.com/llmring"
        )
    return origin + parts.path.rstrip("/")


def origin_of(parts: SplitResult) -> str:
    """Return scheme, host and port as browsers write them: lower case, no default port.

    Raises ValueError for an invalid port.
    """
    host = (parts.hostname or "").encode("idna" if not parts.netloc.isascii() else "ascii").decode()
    if ":" in host:
        host = f"[{host}]"
    has_port = parts.port is not None and parts.port != DEFAULT_PORTS.get(parts.scheme)
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if has_port else "")


def redis_url(name: str) -> str:
    """Return an address that the Redis client accepts with all its parameters, or "".

    It may have a password, and so may come from a file.
    """
    value = _checked(name, secret_line(name), ("redis", "rediss", "unix"))
    if not value or _suits_redis(value):
        return value
    # Only the parameter is repeated: other parts may hold a password.
    address, _, query = value.partition("?")
    accepted = "an address such as redis://:password@host:6379/0"
    if not _suits_redis(address):
        raise invalid(name, accepted)
    refused = [part for part in query.split("&") if not _suits_redis(f"{address}?{part}")]
    if refused:
        accepted += f" (its parameter {refused[0].partition('=')[0]!r} is not accepted)"
    raise invalid(name, accepted)


def _suits_redis(address: str) -> bool:
    import redis

    if urlsplit(address).scheme != "unix" and not re.fullmatch(r"/?\d*/?", urlsplit(address).path):
        return False  # not a database number: the client would use 0, or other digits
    try:
        connection = redis.ConnectionPool.from_url(address).make_connection()
    except (TypeError, ValueError, redis.RedisError):
        return False
    return not connection.encoder.decode_responses  # cached values are bytes


def email_url(name: str) -> tuple[str, dict[str, object]]:
    """Return Django's mail backend and its options; unset, mails are printed.

    `smtp://user:password@host:587` uses STARTTLS at port 587 and no encryption at others,
    `smtps://` begins with TLS. A percent-encoded password is decoded.
    """
    value = secret_line(name)
    accepted = "an address such as smtp://user:password@mail.example.com:587 or smtps://…"
    if not value:
        return "django.core.mail.backends.console.EmailBackend", {}
    try:
        parts = urlsplit(value)
        port = (465 if parts.scheme == "smtps" else 587) if parts.port is None else parts.port
    except ValueError:
        raise invalid(name, accepted) from None
    well_formed = parts.scheme in ("smtp", "smtps") and bool(parts.hostname) and port > 0
    # Django does not log in with one of them alone.
    well_formed &= bool(parts.username) == bool(parts.password)
    if not well_formed or parts.path.strip("/") or re.search(r"[\s?#]", value):
        raise invalid(name, accepted)  # it may hold a password: it is not repeated
    if not _can_be_resolved(parts.hostname):
        raise invalid(name, f"{accepted}, with the name of a host")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not re.fullmatch(r"[ -~]*", user + password):  # smtplib would lose every mail over it
        raise invalid(name, f"{accepted}, with user and password of printable ASCII characters")
    return "django.core.mail.backends.smtp.EmailBackend", {
        "host": parts.hostname,
        "port": port,
        "username": user,
        "password": password,
        "use_ssl": parts.scheme == "smtps",
        "use_tls": parts.scheme == "smtp" and port == 587,
    }


def sender(name: str, *, host: str) -> str:
    """Return the sender of mails: one address, with or without a name before it.

    Unset, it is `noreply` at the host, which is a name or an IP address.
    """
    value = text(name)
    if value and not _is_mailbox(value):
        accepted = "one address, such as noreply@example.com or LLMRing <noreply@example.com>"
        raise invalid(name, accepted, value)
    return value or f"LLMRing <noreply@{_mail_domain(host)}>"


def _mail_domain(host: str) -> str:
    """Return the host as the domain of an address, in which IP addresses have brackets."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"


def _can_be_resolved(host: str) -> bool:
    """Return whether the host has the form that a look-up of its address needs."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def _is_mailbox(value: str) -> bool:
    try:
        header = email.policy.SMTP.header_factory("from", value)
    except IndexError:  # raised by the parser where the end is missing
        return False
    return (
        len(header.addresses) == 1
        and all([header.addresses[0].username, header.addresses[0].domain])
        and _can_be_resolved(header.addresses[0].domain)
        and all(isinstance(defect, ObsoleteHeaderDefect) for defect in header.defects)
    )


def listen_address(name: str) -> tuple[str, int] | None:
    """Return host and port of `host:port`, `[::1]:port`, `:port` (all hosts); None when unset."""
    value = text(name)
    if not value:
        return None
    host, _, port = value.rpartition(":")
    is_port = port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65535
    if not is_port or not re.fullmatch(rf"(?:{_NAME}|{_ADDRESS})?", host):
        raise invalid(name, "an address such as :8080, 127.0.0.1:8080 or [::1]:8080", value)
    return host or "0.0.0.0", int(port)


def url_path(name: str, default: str) -> str:
    """Return a path below our address, without a final slash."""
    value = text(name, default)
    if not re.fullmatch(_PATH, value) or not value.strip("/"):
        raise invalid(name, "a path such as /metrics", value)
    return value.rstrip("/")
