"""The requests that arrive on a connection, one after the other. Source: RFC 9112."""

import re
from typing import Protocol
from urllib.parse import unquote

from httptools import (
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserUpgrade,
    HttpRequestParser,
    parse_url,
)

from core.asgi import Scope

_MAX_HEAD = 64 * 1024  # bytes of a request's head, or between two pieces of its body
# More of either takes the event loop too long: nginx and Apache take 8 KiB, and Apache 100 headers.
_MAX_TARGET = 32 * 1024
_MAX_HEADERS = 1_000
_ASGI = {"version": "3.0", "spec_version": "2.3"}
_VERSIONS = ("1.1", "1.0")

# A name, an IPv4 address or nothing, or an IPv6 address (RFC 3986, section 3.2.2); a port.
_HOST = re.compile(rb"(?:[\w.~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?[ \t]*")
_AUTHORITY = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)  # of an absolute target
_REQUEST_LINE = re.compile(rb"[\w!#$%&'*+.^`|~-]+ [^ \r\n]+ HTTP/1\.[01]\r?\n")

_Headers = list[tuple[bytes, bytes]]


class Unreadable(Exception):
    """Not a request; nothing after it can be read either. `reason` is for the client."""

    status = 400
    reason = "The request is not HTTP/1.1"


class HeadTooLarge(Unreadable):
    status = 431
    reason = f"The request's headers have more than {_MAX_HEAD} bytes"


class TooManyHeaders(Unreadable):
    status = 431
    reason = f"The request has more than {_MAX_HEADERS} headers"


class TargetTooLong(Unreadable):
    """RFC 9110, section 15.5.15."""

    status = 414
    reason = f"The request's path and query have more than {_MAX_TARGET} bytes"


class InvalidHost(Unreadable):
    """RFC 9112, section 3.2."""

    reason = "The request needs one valid Host header"


class MethodNotSupported(Unreadable):
    """RFC 9110, section 9.1."""

    status = 501
    reason = "The request's method is not supported"


class CodingNotSupported(Unreadable):
    """RFC 9112, section 6.1."""

    status = 501
    reason = "No Transfer-Encoding other than chunked is supported"


class ArrivingRequest(Protocol):
    """What takes the body of a request."""

    def feed(self, data: bytes) -> None: ...
    def end(self) -> None: ...


class Connection(Protocol):
    def request_begins(self) -> None: ...
    def request_arrives(
        self, scope: Scope, *, keeps_alive: bool, expects_continue: bool
    ) -> ArrivingRequest: ...


class RequestReader:
    """Reads requests, and passes each to `connection` when its head is complete.

    The scope that it passes lacks the addresses of both sides.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._parser = HttpRequestParser(self)
        self._arriving: ArrivingRequest | None = None
        self._since_progress = 0  # bytes since the last head or piece of a body
        self._valid_host = b""  # the last valid one: a connection's requests rarely differ in it
        # Request line and headers of an offer of another protocol, until it is read without it.
        self._offering: tuple[bytes, _Headers] | None = None

    def feed(self, data: bytes) -> None:
        """Read a piece of the connection's bytes. Raises Unreadable."""
        self._since_progress += len(data)
        while data:
            try:
                self._parser.feed_data(data)
                break
            except HttpParserUpgrade as upgrade:
                data = self._without_offer() + data[upgrade.args[0] :]
                self._parser = HttpRequestParser(self)
            except HttpParserInvalidMethodError:
                is_request = _REQUEST_LINE.match(data)
                raise (MethodNotSupported if is_request else Unreadable) from None
            except HttpParserError as error:
                cause = error.__context__
                raise (cause if isinstance(cause, Unreadable) else Unreadable()) from None
        if self._since_progress > _MAX_HEAD:  # the parser has no limit
            raise HeadTooLarge

    def close(self) -> None:
        """Stop reading. Breaks a reference cycle, which would wait for the garbage collector."""
        self._parser = None

    def on_message_begin(self) -> None:
        self._connection.request_begins()
        self._url = b""
        self._headers: _Headers = []
        self._host: bytes | None = None
        self._expects_continue = False

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"host":
            if self._host is not None:
                raise InvalidHost
            self._host = value
        elif name == b"expect":
            self._expects_continue = value.lower() == b"100-continue"
        elif name == b"transfer-encoding" and value.strip().lower() != b"chunked":
            raise CodingNotSupported
        if len(self._headers) == _MAX_HEADERS:
            raise TooManyHeaders
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._since_progress > _MAX_HEAD:  # hardly ever: the sum takes a microsecond
            self._check_size()
        self._since_progress = 0
        if len(self._url) > _MAX_TARGET:
            raise TargetTooLong
        parser = self._parser
        method, version = parser.get_method(), parser.get_http_version()
        if version not in _VERSIONS:  # the parser knows 0.9 and 2.0, too
            raise Unreadable
        if method == b"CONNECT":  # what follows would not be HTTP
            raise MethodNotSupported
        headers, self._headers = self._headers, []  # headers that follow a body are trailers
        if parser.should_upgrade():
            line = b"%b %b HTTP/%b" % (method, self._url, version.encode())
            self._offering = line, headers
            return
        if self._offering is not None:
            (_, headers), self._offering = self._offering, None
        if self._host != self._valid_host:
            self._check_host(version)
        if absolute := _AUTHORITY.match(self._url):
            headers = _with_host(absolute[1], headers)
        raw_path, query = _target(self._url)
        path = raw_path.decode("ascii")
        self._arriving = self._connection.request_arrives(
            {
                "type": "http",
                "asgi": _ASGI,
                "http_version": version,
                "scheme": "http",
                "method": method.decode("ascii"),
                "root_path": "",
                "path": unquote(path) if "%" in path else path,
                "raw_path": raw_path,
                "query_string": query,
                "headers": headers,
            },
            keeps_alive=version == "1.1" and parser.should_keep_alive(),
            expects_continue=version == "1.1" and self._expects_continue,
        )

    def on_body(self, data: bytes) -> None:
        self._since_progress = 0
        self._arriving.feed(data)

    def on_message_complete(self) -> None:
        self._since_progress = 0
        if self._offering is None:
            self._arriving.end()

    def _check_size(self) -> None:
        lines = sum(len(name) + len(value) + 4 for name, value in self._headers)
        if len(self._url) + lines > _MAX_HEAD:
            raise HeadTooLarge

    def _check_host(self, version: str) -> None:
        """Raise InvalidHost for a host that is invalid, or missing in HTTP/1.1."""
        if self._host is None and version == "1.0":
            return
        if self._host is None or not _HOST.fullmatch(self._host):
            raise InvalidHost
        self._valid_host = self._host

    def _without_offer(self) -> bytes:
        """Return the head of a request that offers another protocol, without the offer.

        An ignored offer has the client go on in HTTP/1.1 (RFC 9110, section 7.8). The parser would
        take what follows the head, such as the body, for the other protocol.
        """
        line, headers = self._offering
        kept = [b"%b: %b" % (name, value) for name, value in headers if name != b"upgrade"]
        return b"\r\n".join([line, *kept, b"", b""])


def _with_host(host: bytes, headers: _Headers) -> _Headers:
    """Return the headers with the host of an absolute target instead of their own.

    Source: RFC 9112, section 3.2.2. Raises InvalidHost.
    """
    if not host or not _HOST.fullmatch(host):
        raise InvalidHost
    return [(name, host if name == b"host" else value) for name, value in headers]


def _target(url: bytes) -> tuple[bytes, bytes]:
    """Return path and query of a request's target. Raises HttpParserInvalidURLError."""
    if url.startswith(b"/") and b"#" not in url:
        path, _, query = url.partition(b"?")
        return path, query
    parsed = parse_url(url)
    return parsed.path or b"/", parsed.query or b""
