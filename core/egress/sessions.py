"""Sessions of requests that call permitted addresses only, and reading their answers."""

from collections.abc import Iterator
from http.cookiejar import DefaultCookiePolicy

import requests
import urllib3
from django.conf import settings
from requests.adapters import HTTPAdapter

from core.egress.checked_connections import (
    CheckedPool,
    CheckedSecurePool,
    ForbiddenAddress,
    Refused,
)

_CHUNK = 2**16


class TooLarge(requests.RequestException):
    """The answer is longer than the limit."""


def session(*, pool_size: int = 10) -> requests.Session:
    """Return a session for permitted calls; `pool_size` connections per host stay open.

    It follows three redirects at most. It keeps no cookies, so threads can share it.
    """
    made = _Session()
    made.trust_env = False
    made.verify = settings.CA_BUNDLE
    made.max_redirects = 3
    made.cookies.set_policy(_NoCookies())
    made.headers["User-Agent"] = f"llmring-server/{settings.VERSION}"
    adapter = _Adapter(pool_connections=4, pool_maxsize=pool_size)
    for scheme in ("http://", "https://"):
        made.mount(scheme, adapter)
    return made


def read(response: requests.Response, *, limit: int) -> bytes:
    """Return the whole body of a streamed response. Raises TooLarge beyond `limit` bytes."""
    return b"".join(pieces(response, limit=limit))


def pieces(response: requests.Response, *, limit: int) -> Iterator[bytes]:
    """Yield the body of a streamed response as it arrives. Raises TooLarge beyond `limit` bytes."""
    size = 0
    try:
        # read1 returns after each arrival; read would wait for a whole chunk.
        while piece := response.raw.read1(_CHUNK, decode_content=True):
            size += len(piece)
            if size > limit:
                raise TooLarge(f"The answer is longer than {limit} bytes", response=response)
            yield piece
    except (urllib3.exceptions.ReadTimeoutError, TimeoutError) as error:
        raise requests.ReadTimeout(error, response=response) from error
    except urllib3.exceptions.DecodeError as error:
        raise requests.exceptions.ContentDecodingError(error, response=response) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        if isinstance(error, requests.RequestException):
            raise
        raise requests.ConnectionError(error, response=response) from error


class _Session(requests.Session):
    """Does not read the body of a redirect, which may be endless."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target is not None:
            resp.raw.close()
        return target

    def resolve_redirects(self, *args, yield_requests=False, **options) -> Iterator:
        # With allow_redirects off, requests would still prepare the next one, and may fail.
        return iter(()) if yield_requests else super().resolve_redirects(*args, **options)


class _NoCookies(DefaultCookiePolicy):
    def set_ok(self, cookie, request) -> bool:
        return False


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args, **kwargs) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": CheckedPool, "https": CheckedSecurePool}

    def send(self, request, **kwargs) -> requests.Response:
        try:
            return super().send(request, **kwargs)
        except Refused as error:
            raise ForbiddenAddress(str(error), request=request) from None
