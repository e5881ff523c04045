"""The response cache: the same request need not be paid for twice.

    key = key_of(request, plan, path)         None: never cached
    hit = await find(key, request, holder)    instead of a call
    headers = await store(key, request, ...)  after it

Entries belong to a project and are never served to another one. They are in PostgreSQL, where
all workers see them and a purge removes them everywhere.
Source: docs/gateway.md, section "Cached answers".
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.utils import timezone

from accounts.limits import allowances
from core import bridge, json_writer
from core.edge_request import Request
from core.errors import DATABASE_AWAY
from core.secrets import fingerprint
from gateway import cache_policy, metrics
from gateway.answer import lenient_json
from gateway.cache_policy import CacheKey
from gateway.holders import Holder
from gateway.models import CachedAnswer
from gateway.protocols.protocol import Billing
from gateway.request.plan import Plan

logger = logging.getLogger(__name__)

_MAX_REQUEST_BYTES = 1024 * 1024
_ROW_BYTES = 1024  # besides the body: headers, indexes
_MAX_VARIANTS = 20  # of a request that are looked at, newest first
# Headers of the first request alone, or written anew for each reply.
_NOT_STORED = frozenset({"age", "connection", "content-length", "date", "x-request-id"})
_NOT_STORED_PREFIXES = ("x-ratelimit-", "openai-processing-")
# Headers that decide what is answered, also where an upstream's `Vary` forgets them.
_DECIDING = (
    *("accept", "accept-language"),
    *("openai-organization", "openai-project", "openai-beta"),
)

Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Hit:
    """A cached answer."""

    status: int
    headers: Headers
    body: bytes


def key_of(request: Request, plan: Plan, path: str) -> CacheKey | None:
    """Return the key of a request; None for one whose answer is never cached.

    `path` is canonical. Streams, forms and objects stored upstream are never cached, nor is the
    answer to a POST without `Cache-Control: public, max-age=…`.
    """
    endpoint, body = plan.endpoint, plan.content.data or b""
    if not settings.GATEWAY_CACHE or endpoint.is_stateful or endpoint.billing is Billing.LATER:
        return None
    stated = cache_policy.directives(request.headers.get("Cache-Control", ""))
    asked = cache_policy.asked_lifetime(stated)
    if request.method not in ("GET", "HEAD") and not (
        asked and body and len(body) <= _MAX_REQUEST_BYTES and not plan.is_stream
    ):
        return None
    if plan.content.value.get("background"):
        return None
    method = "GET" if request.method == "HEAD" else request.method
    max_age = cache_policy.seconds(stated, "max-age")
    asked_for = (
        *(plan.project_id.hex, plan.upstream.name, method, plan.request.url, plan.model),
        *(request.headers.get(name, "") for name in _DECIDING),
        fingerprint(plan.key).hex(),  # another account may get another answer
        sha256(body).hexdigest(),
    )
    return CacheKey(
        project_id=plan.project_id,
        upstream=plan.upstream.name,
        method=method,
        url=path + (f"?{request.query_string}" if request.query_string else ""),
        digest=sha256(json_writer.dumps(asked_for)).digest(),
        asked_seconds=asked,
        max_age_seconds=max_age,
        may_reuse=not {"no-cache", "no-store"} & stated.keys() and max_age != 0,
        may_store="no-store" not in stated and request.method != "HEAD",
    )


async def find(key: CacheKey | None, request: Request, holder: Holder) -> Hit | None:
    """Return the cached answer to a request, and count it for the token."""
    if key is None:
        return None
    if not key.may_reuse:
        metrics.cache_result("bypass")
        return None
    try:
        row = await bridge.in_thread(_find, key, request.headers, holder.allowance_id)
    except DATABASE_AWAY:
        return None
    metrics.cache_result("miss" if row is None else "hit")
    if row is None:
        return None
    status = [("Age", str(_age(row))), *_status_headers(key, "hit")]
    return Hit(row.status, [*map(tuple, row.headers), *status], bytes(row.body))


def _find(key: CacheKey, headers: Mapping[str, str], allowance_id: UUID) -> CachedAnswer | None:
    rows = CachedAnswer.objects.filter(project_id=key.project_id, digest=key.digest)
    rows = rows.filter(expires_at__gt=timezone.now()).order_by("-stored_at")
    for row in rows[:_MAX_VARIANTS]:
        is_fresh = key.max_age_seconds is None or _age(row) <= key.max_age_seconds
        if is_fresh and bytes(row.variant) == _variant(headers, row.varies_by):
            allowances.count_cache_hit(allowance_id)
            return row
    return None


def _age(row: CachedAnswer) -> int:
    return max(row.age + int((timezone.now() - row.stored_at).total_seconds()), 0)


async def store(
    key: CacheKey | None, request: Request, *, status: int, headers: Headers, body: bytes
) -> Headers:
    """Store a whole answer if that is allowed; return the headers that say so.

    Only JSON is stored: nothing else shows that it is complete.
    """
    if key is None or not key.may_store or status != 200:
        return []
    if len(body) > settings.GATEWAY_CACHE_MAX_OBJECT_BYTES:
        return []
    joined = _joined(headers)
    seconds = cache_policy.lifetime(joined, asked=key.asked_seconds)
    if not seconds:
        return []
    varies_by = sorted({name.strip().lower() for name in joined.get("vary", "").split(",")} - {""})
    now = timezone.now()
    row = CachedAnswer(
        project_id=key.project_id,
        upstream=key.upstream,
        method=key.method,
        url=key.url.replace("\0", ""),
        digest=key.digest,
        varies_by=varies_by,
        variant=_variant(request.headers, varies_by),
        status=status,
        headers=[*_stored(headers)],
        body=body,
        size=len(body) + _ROW_BYTES,
        age=cache_policy.age(joined),
        stored_at=now,
        expires_at=now + timedelta(seconds=seconds),
    )
    try:
        is_stored = await bridge.in_thread(_store, row)
    except DATABASE_AWAY as error:
        logger.warning("an answer is not cached: %s", type(error).__name__)
        return []
    if not is_stored:
        return []
    metrics.cache_result("store")
    return _status_headers(key, "stored")


def _store(row: CachedAnswer) -> bool:
    if not lenient_json.is_json(row.body):
        return False
    CachedAnswer.objects.bulk_create(
        [row],
        update_conflicts=True,
        unique_fields=["project_id", "digest", "variant"],
        update_fields=["varies_by", "status", "headers", "body", "size", "age"]
        + ["stored_at", "expires_at"],
    )
    _room.use(row.size)
    return True


def purge(method: str, url: str) -> int:
    """Remove the cached answers to an address, of all projects; return how many there were."""
    return CachedAnswer.objects.filter(method=method, url=url).delete()[0]


def purge_below(method: str, prefix: str) -> int:
    """Remove the cached answers to all addresses with this prefix; return how many there were."""
    return CachedAnswer.objects.filter(method=method, url__startswith=prefix).delete()[0]


def sweep() -> None:
    """Remove expired answers, and the oldest ones beyond the size of the cache."""
    CachedAnswer.objects.filter(expires_at__lte=timezone.now()).delete()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            DELETE FROM gateway_cached_answers WHERE id IN (
                SELECT id FROM (
                    SELECT id, sum(size) OVER (ORDER BY stored_at DESC, id) AS up_to_here
                    FROM gateway_cached_answers
                ) AS newest WHERE up_to_here > %s
            )
            """,
            [settings.GATEWAY_CACHE_MEGABYTES * 2**20],
        )


class _Room:
    """Sweeps each time this worker has stored an eighth of the size of the cache."""

    def __init__(self) -> None:
        self._used = 0

    def use(self, size: int) -> None:
        self._used += size
        if self._used > settings.GATEWAY_CACHE_MEGABYTES * 2**20 // 8:
            self._used = 0
            sweep()


_room = _Room()


def _status_headers(key: CacheKey, what: str) -> Headers:
    """Return the headers of a cached answer: RFC 9211, and those of llm-proxy."""
    return [
        ("Cache-Status", f"llm-proxy; {what}"),
        ("X-PROXY-CACHE", what),
        ("X-PROXY-CACHE-KEY", key.digest.hex()),
    ]


def _variant(headers: Mapping[str, str], names: Iterable[str]) -> bytes:
    return sha256(json_writer.dumps([headers.get(name, "") for name in names])).digest()


def _joined(headers: Headers) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in headers:
        lowered = name.lower()
        joined[lowered] = f"{joined[lowered]}, {value}" if lowered in joined else value
    return joined


def _stored(headers: Headers) -> Iterable[tuple[str, str]]:
    return (
        (name, value)
        for name, value in headers
        if (lowered := name.lower()) not in _NOT_STORED
        and not lowered.startswith(_NOT_STORED_PREFIXES)
    )
