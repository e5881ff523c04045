"""Batch receipts: choosing logs, summing them, and certifying them, each log once where asked.

One statement chooses, links and sums, however many logs there are: none of them
comes to Python. It is SQL by hand because the ORM cannot insert what it selects.
Source: docs/receipt-format.md, "Batch receipts".
"""

from datetime import UTC, datetime

from django.db import connection, transaction

from core.errors import DomainError
from core.ids import uuid7
from core.scoping import Caller
from receipts import batch, issuing, keyring, pricing, selection, storing
from receipts.batch import Sums
from receipts.issuing import Signed
from receipts.selection import Selection

# Distinct names in a receipt's maps; the rest is summed under one more.
MOST_NAMES = 1_000
# Their digests are gathered in the database's memory, 32 bytes each.
MOST_LOGS = 5_000_000


class NoLogs(DomainError):
    code = "no_logs"

    def __init__(self) -> None:
        super().__init__("No logs found matching the criteria")


class TooManyLogs(DomainError):
    code = "too_many_logs"

    def __init__(self) -> None:
        super().__init__(f"A receipt certifies at most {MOST_LOGS} logs; choose a shorter range")


_PICKED = """
WITH picked AS MATERIALIZED (
    ({conversations}) UNION ALL ({calls}) LIMIT %(most)s
)
"""
_LINKED = """
, linked AS (
    INSERT INTO receipt_logs
        (project_id, receipt_id, log_id, log_type, counted, since_last, certified_at)
    SELECT %(project)s, %(receipt)s, id, log_type, true, %(since_last)s, %(now)s FROM picked
    UNION ALL
    -- Their calls count them, but they must not be counted later without these calls.
    SELECT DISTINCT %(project)s::uuid, %(receipt)s::uuid, conversation_id, 'conversation', false,
        %(since_last)s, %(now)s
    FROM picked WHERE log_type = 'usage' AND conversation_id IS NOT NULL
)
"""
# For each pair of provider and model and for each alias its sums, those with the
# most calls by name; then one row of everything.
_SUMMED = """
, grouped AS (
    SELECT CASE grouping(provider, model, alias) WHEN 1 THEN 'model' WHEN 6 THEN 'alias' END
        AS kind, coalesce(provider, '') AS provider, coalesce(model, alias) AS name,
        count(*) AS calls, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
        sum(cached_input_tokens) AS cached, coalesce(sum(cost), 0) AS cost
    FROM picked GROUP BY GROUPING SETS ((provider, model), (alias))
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY kind ORDER BY calls DESC, name, provider)
        > %(names)s AS is_rest
    FROM grouped
), named AS (
    SELECT kind, CASE WHEN is_rest THEN '' ELSE provider END AS provider,
        CASE WHEN is_rest THEN '(other)' ELSE name END AS name,
        sum(calls)::bigint AS calls, sum(input_tokens) AS input_tokens,
        sum(output_tokens) AS output_tokens, sum(cached) AS cached, sum(cost) AS cost
    FROM ranked GROUP BY 1, 2, 3
), first_log AS (
    SELECT provider, model, alias FROM picked ORDER BY log_type, id DESC LIMIT 1
), everything AS (
    SELECT count(*) AS calls, sum(input_tokens) AS input_tokens,
        sum(output_tokens) AS output_tokens, coalesce(sum(cost), 0) AS cost,
        count(*) FILTER (WHERE cost IS NULL) AS unpriced,
        count(DISTINCT conversation_id) AS conversations,
        min(created_at) AS first_at, max(created_at) AS last_at,
        (SELECT id FROM picked ORDER BY id LIMIT 1) AS first_id,
        (SELECT id FROM picked ORDER BY id DESC LIMIT 1) AS last_id,
        encode(sha256(string_agg(sha256(convert_to(
            concat_ws(' ', log_type, id, input_tokens, output_tokens,
                coalesce(trim_scale(cost)::text, 'unpriced')), 'UTF8'
        )), ''::bytea ORDER BY id)), 'hex') AS digest
    FROM picked
)
SELECT jsonb_build_object(
    'total', (SELECT to_jsonb(everything) FROM everything),
    'first', (SELECT to_jsonb(first_log) FROM first_log),
    'models', (SELECT coalesce(jsonb_agg(named), '[]') FROM named WHERE kind = 'model'),
    'aliases', (SELECT coalesce(jsonb_agg(named), '[]') FROM named WHERE kind = 'alias'),
    'log_ids', CASE WHEN (SELECT calls FROM everything) <= %(listed)s THEN
        (SELECT coalesce(jsonb_agg(id ORDER BY id), '[]') FROM picked WHERE log_type = 'usage')
        ELSE '[]' END,
    'conversation_ids', CASE WHEN (SELECT calls FROM everything) <= %(listed)s THEN
        (SELECT coalesce(jsonb_agg(DISTINCT conversation_id), '[]') FROM picked
         WHERE conversation_id IS NOT NULL)
        ELSE '[]' END
)::text
"""


def preview(request: dict, caller: Caller) -> dict:
    """What a receipt of the chosen logs would say. Raises NothingChosen, TooManyLogs."""
    sums = _run(_PICKED + _SUMMED, selection.chosen(request), caller)
    return batch.preview(sums) if sums else batch.EMPTY_PREVIEW


def generate(request: dict, caller: Caller) -> tuple[Signed, int]:
    """A stored receipt of the chosen logs, and how many there are.

    The links, the receipt and its signature are committed together or not at
    all. Generations of a project take turns, so that "since the last receipt"
    means the same to all of them; a unique index holds it besides.
    Raises NothingChosen, NoLogs, TooManyLogs, UnusableSigningKey.
    """
    chosen = selection.chosen(request)
    key = keyring.signing_key()
    pricing.load()
    id = uuid7()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended('receipts', %s))",
                [caller.project_id.int & (2**63 - 1)],
            )
        now = datetime.now(UTC)
        sums = _run(
            _PICKED + _LINKED + _SUMMED,
            chosen,
            caller,
            receipt=id,
            since_last=chosen.since_last,
            now=now,
        )
        if sums is None:
            raise NoLogs
        document = batch.document(
            sums,
            receipt_id=issuing.new_id(),
            timestamp=issuing.time_text(now),
            description=request.get("description"),
            tags=request.get("tags"),
        )
        signed = issuing.sign(document, key)
        row = storing.row_of(signed, document, key.id, caller)
        row.id = id
        row.save(force_insert=True)
    return signed, sums.total["calls"]


def _run(statement: str, chosen: Selection, caller: Caller, **more) -> Sums | None:
    """Runs a statement made of the parts above; None when it found no log."""
    statement = statement.format(
        conversations=selection.conversations(chosen), calls=selection.calls(chosen)
    )
    parameters = {
        "project": caller.project_id,
        "most": MOST_LOGS + 1,
        "names": MOST_NAMES,
        "listed": batch.MOST_LISTED,
        **chosen.parameters,
        **more,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        (text,) = cursor.fetchone()
    sums = batch.read_sums(text)
    if sums.total["calls"] > MOST_LOGS:
        raise TooManyLogs
    return sums if sums.total["calls"] else None
