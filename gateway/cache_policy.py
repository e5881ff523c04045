"""Which answers may be stored and for how long, by the rules of a shared cache (RFC 9111).

By hand: the caches on PyPI are built into HTTP clients, where neither the tenant of an
entry nor what its answer cost is known.
Source: docs/gateway.md, section "Cached answers".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.conf import settings

from core.schemas import INT32_MAX

MAX_LIFETIME_SECONDS = int(timedelta(days=7).total_seconds())
_SECONDS = re.compile(r"0*(\d+)", re.ASCII)
_MAX_DIGITS = len(str(INT32_MAX))
_MAX_DIRECTIVES = 100
_FORBIDDING = ("no-store", "no-cache", "private")


@dataclass(frozen=True, slots=True)
class CacheKey:
    """What a request asks for, and whether its answer may be reused or stored."""

    project_id: UUID
    upstream: str
    method: str
    url: str
    digest: bytes
    asked_seconds: int  # for which its client wants the answer stored
    max_age_seconds: int | None  # of an answer that its client accepts
    may_reuse: bool
    may_store: bool


def directives(cache_control: str) -> dict[str, str]:
    """Return the directives of a `Cache-Control` with their values; of equal ones the first.

    Very many, which take long to read, are `no-store`.
    """
    stated: dict[str, str] = {}
    parts = cache_control.split(",")
    for part in parts if len(parts) <= _MAX_DIRECTIVES else ("no-store",):
        name, _, value = part.strip().partition("=")
        if name:
            stated.setdefault(name.strip().lower(), value.strip(' "'))
    return stated


def seconds(stated: Mapping[str, str], name: str) -> int | None:
    """Return the seconds of a directive, up to 2^31; None if it states none."""
    found = _SECONDS.fullmatch(stated.get(name, ""))
    if found is None:
        return None
    # Any number of digits may come, more than int() takes too; one more is too large already.
    return min(int(found[1][: _MAX_DIGITS + 1]), INT32_MAX)


def asked_lifetime(stated: Mapping[str, str]) -> int:
    """Return for how many seconds a client wants its answer stored: `public` with a `max-age`."""
    if "public" not in stated or "no-store" in stated:
        return 0
    return seconds(stated, "s-maxage") or seconds(stated, "max-age") or 0


def lifetime(headers: Mapping[str, str], *, asked: int) -> int:
    """Return for how many seconds an answer may be stored; 0 if it may not be stored at all.

    Every request has a token, so its answer must say `public` or `s-maxage`. One without
    `Cache-Control` is stored for as long as its client asked.
    """
    stated = directives(headers.get("cache-control", ""))
    varies_by = {name.strip() for name in headers.get("vary", "").split(",")}
    if any(name in stated for name in _FORBIDDING) or "*" in varies_by:
        return 0
    if "public" in stated or "s-maxage" in stated:
        allowed = next(
            (
                limit
                for name in ("s-maxage", "max-age")
                if (limit := seconds(stated, name)) is not None
            ),
            settings.GATEWAY_CACHE_DEFAULT_SECONDS,
        )
        return min(max(allowed - age(headers), 0), MAX_LIFETIME_SECONDS)
    return 0 if stated else min(asked, MAX_LIFETIME_SECONDS)


def age(headers: Mapping[str, str]) -> int:
    """Return how many seconds old an answer was when it arrived."""
    return seconds({"age": headers.get("age", "").strip()}, "age") or 0
