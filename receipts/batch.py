"""Batch receipts: sum logs and certify them, each log once if requested.

One statement selects, links and sums, however many logs there are: none of them
comes to Python. It is written by hand because the ORM cannot insert what it
selects. Source: docs/receipt-format.md, "Batch receipts".
"""

from datetime import UTC, date, datetime

from django.db import connection, transaction
from django.db.models import QuerySet

from core.database.timeouts import lift_limit
from core.errors import DomainError
from core.ids import uuid7
from core.scoping import Caller
from receipts import drafts, selection, server_keys, services, summaries
from receipts.drafts import Signed
from receipts.keys import SigningKey
from receipts.models import CertifiedDay
from receipts.schemas import GenerationRequest
from receipts.selection import COLUMNS, Selection
from receipts.summaries import Sums
from registry_proxy import pricing

# Distinct names in a receipt's maps; the rest is summed under one more.
MAX_NAMES = 1_000
# Their digests are gathered in the database's memory, 32 bytes each.
MAX_LOGS = 5_000_000


class NoLogs(DomainError):
    code = "no_logs"

    def __init__(self) -> None:
        super().__init__("No logs found matching the criteria")


class TooManyLogs(DomainError):
    code = "too_many_logs"

    def __init__(self) -> None:
        super().__init__(f"A receipt certifies at most {MAX_LOGS} logs; choose a shorter range")


_SELECTED = f"""
WITH selected ({", ".join(COLUMNS)}) AS MATERIALIZED (
    ({{conversations}}) UNION ALL ({{calls}})
)
"""
_COUNTED = "SELECT count(*) FROM (({conversations}) UNION ALL ({calls}) LIMIT %s) AS chosen"
_LINKED = """
, linked AS (
    INSERT INTO receipt_logs
        (project_id, receipt_id, log_id, log_type, counted, since_last, certified_at)
    SELECT link.project_id, link.receipt_id, selected.id, selected.type, true, link.since_last,
        link.certified_at
    FROM selected, link
    UNION ALL
    -- Counted by its calls, a conversation must not be counted later without them.
    SELECT DISTINCT link.project_id, link.receipt_id, conversation_id, 'conversation', false,
        link.since_last, link.certified_at
    FROM selected, link WHERE type = 'usage' AND conversation_id IS NOT NULL
)
"""
_LINK = """
, link (project_id, receipt_id, since_last, certified_at) AS (
    VALUES (%s::uuid, %s::uuid, %s::boolean, %s::timestamptz)
)
"""
# Those of reversals apart: sums of numbers that partly cancel are those of no call.
_REVERSED = ", ".join(
    f"coalesce(sum({name}) FILTER (WHERE calls < 0), 0) AS reversed_{name}"
    for name in summaries.SPLIT_SUMS
)
_NAMED_REVERSED = ", ".join(
    f"sum(reversed_{name}) AS reversed_{name}" for name in summaries.SPLIT_SUMS
)
# For each pair of provider and model and for each alias its sums, those with the
# most calls by name; then one row of everything.
_SUMMED = f"""
, grouped AS (
    SELECT CASE grouping(provider, model, alias) WHEN 1 THEN 'model' WHEN 6 THEN 'alias' END
        AS kind, coalesce(provider, '') AS provider, coalesce(model, alias) AS name,
        sum(calls) AS calls, coalesce(sum(input_tokens), 0) AS input_tokens,
        coalesce(sum(output_tokens), 0) AS output_tokens,
        sum(cached_input_tokens) AS cached_input_tokens, coalesce(sum(cost), 0) AS cost,
        {_REVERSED}
    FROM selected GROUP BY GROUPING SETS ((provider, model), (alias))
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY kind ORDER BY calls DESC, name, provider)
        > %s AS is_rest
    FROM grouped
), named AS (
    SELECT kind, CASE WHEN is_rest THEN '' ELSE provider END AS provider,
        CASE WHEN is_rest THEN '(other)' ELSE name END AS name,
        sum(calls)::bigint AS calls, sum(input_tokens) AS input_tokens,
        sum(output_tokens) AS output_tokens, sum(cached_input_tokens) AS cached_input_tokens,
        sum(cost) AS cost, {_NAMED_REVERSED}
    FROM ranked GROUP BY 1, 2, 3
), first_log AS (
    SELECT provider, model, alias FROM selected ORDER BY type, id DESC LIMIT 1
), total AS (
    SELECT count(*) AS logs, coalesce(sum(calls), 0) AS calls,
        coalesce(sum(input_tokens), 0) AS input_tokens,
        coalesce(sum(output_tokens), 0) AS output_tokens, coalesce(sum(cost), 0) AS cost,
        coalesce(sum(calls) FILTER (WHERE cost IS NULL AND input_tokens IS NOT NULL), 0)
            AS unpriced,
        coalesce(sum(calls) FILTER (WHERE input_tokens IS NULL), 0) AS unknown,
        count(DISTINCT conversation_id) AS conversations,
        min(created_at) AS first_at, max(created_at) AS last_at,
        (SELECT id FROM selected ORDER BY id LIMIT 1) AS first_id,
        (SELECT id FROM selected ORDER BY id DESC LIMIT 1) AS last_id,
        encode(sha256(string_agg(sha256(convert_to(
            concat_ws(' ', type, id, coalesce(input_tokens::text, 'unknown'),
                coalesce(output_tokens::text, 'unknown'),
                coalesce(trim_scale(cost)::text, 'unpriced')), 'UTF8'
        )), ''::bytea ORDER BY id)), 'hex') AS digest
    FROM selected
), listed AS (
    SELECT * FROM selected WHERE (SELECT logs FROM total) <= %s
)
SELECT jsonb_build_object(
    'total', (SELECT to_jsonb(total) FROM total),
    'first', (SELECT to_jsonb(first_log) FROM first_log),
    'models', (SELECT coalesce(jsonb_agg(named), '[]') FROM named WHERE kind = 'model'),
    'aliases', (SELECT coalesce(jsonb_agg(named), '[]') FROM named WHERE kind = 'alias'),
    'log_ids', (SELECT coalesce(jsonb_agg(id ORDER BY id), '[]') FROM listed WHERE type = 'usage'),
    'conversation_ids', (SELECT coalesce(jsonb_agg(DISTINCT conversation_id), '[]') FROM listed
        WHERE conversation_id IS NOT NULL)
)::text
"""


def preview(request: GenerationRequest, caller: Caller) -> dict:
    """Return what a receipt of the chosen logs would state. Raises NothingChosen, TooManyLogs."""
    sums = _sum(selection.select(request, caller))
    return summaries.preview(sums) if sums else summaries.EMPTY_PREVIEW


def generate(request: GenerationRequest, caller: Caller) -> tuple[Signed, int]:
    """Store and return a receipt of the chosen logs, and how many there are.

    The links, the receipt and its signature are committed together or not at
    all. Generations of a project take turns, so that "since the last receipt"
    means the same to all of them; a unique index holds it besides.
    Raises NothingChosen, NoLogs, TooManyLogs, UnusableSigningKey.
    """
    key = server_keys.signing_key()
    pricing.load()  # not inside the transaction: the first time it is a request
    with transaction.atomic():
        lift_limit()
        _lock_project(caller)
        chosen = selection.select(request, caller)
        certified = _certify(chosen, request, key, caller)
        _mark_certified(chosen.days, caller)
    if certified is None:
        raise NoLogs
    return certified


def _certify(
    chosen: Selection, request: GenerationRequest, key: SigningKey, caller: Caller
) -> tuple[Signed, int] | None:
    id, now = uuid7(), datetime.now(UTC)
    sums = _sum(chosen, link=(caller.project_id, id, chosen.since_last, now))
    if sums is None:
        return None
    document = summaries.document(
        sums,
        receipt_id=drafts.new_receipt_id(),
        timestamp=drafts.format_time(now),
        description=request.description,
        tags=request.tags,
    )
    signed = drafts.sign(document, key)
    row = services.issued_row(signed, key.id, caller)
    row.id = id
    row.save(force_insert=True)
    return signed, sums.total["logs"]


def _mark_certified(days: dict[date, int], caller: Caller) -> None:
    CertifiedDay.objects.bulk_create(
        [
            CertifiedDay(project_id=caller.project_id, day=day, entries=entries)
            for day, entries in days.items()
        ],
        update_conflicts=True,
        unique_fields=["project_id", "day"],
        update_fields=["entries"],
    )


def _lock_project(caller: Caller) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('receipts', %s))",
            [caller.project_id.int & (2**63 - 1)],
        )


def _sum(chosen: Selection, *, link: tuple | None = None) -> Sums | None:
    """Return the sums of the chosen logs, linked to a receipt if given; None without any log.

    Raises TooManyLogs.
    """
    if chosen.exceeds(MAX_LOGS) or _count(chosen) > MAX_LOGS:
        raise TooManyLogs
    statement, parameters = _union(_SELECTED, chosen.conversations, chosen.calls)
    if link:
        statement += _LINK + _LINKED
        parameters += link
    with connection.cursor() as cursor:
        cursor.execute(statement + _SUMMED, [*parameters, MAX_NAMES, summaries.MAX_LISTED_LOGS])
        (text,) = cursor.fetchone()
    sums = Sums.parse(text)
    return sums if sums.total["logs"] else None


def _count(chosen: Selection) -> int:
    """Return the number of chosen logs, or MAX_LOGS + 1. Reads indexes only."""
    statement, parameters = _union(
        _COUNTED, chosen.conversations.values_list("id"), chosen.calls.values_list("id")
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [*parameters, MAX_LOGS + 1])
        return cursor.fetchone()[0]


def _union(statement: str, conversations: QuerySet, calls: QuerySet) -> tuple[str, list]:
    """Return the statement with both queries put in, and their parameters."""
    conversations_sql, of_conversations = conversations.query.sql_with_params()
    calls_sql, of_calls = calls.query.sql_with_params()
    sql = statement.format(conversations=conversations_sql, calls=calls_sql)
    return sql, [*of_conversations, *of_calls]
