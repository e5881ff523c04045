"""Which logs a receipt certifies.

A log is a call in the ledger, or a conversation none of whose calls are in the
ledger. A conversation with calls in the ledger is counted by them, so that
nothing is counted twice. Source: docs/receipt-format.md, "Batch receipts".
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import (
    Case,
    CharField,
    Exists,
    F,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce, Left, NullIf
from django.db.models.lookups import Exact

from conversations.models import DEFAULT_ALIAS, Conversation, Message, Role
from core import ids
from core.errors import DomainError
from core.scoping import Caller
from receipts.models import CertifiedDay, LogType, ReceiptLog
from receipts.schemas import GenerationRequest
from usage import day_ranges
from usage.models import DailyUsage, EntryType, UsageLog
from usage.windows import midnight

_MICROSECOND = timedelta(microseconds=1)
_DAY, _NO_TIME = timedelta(days=1), timedelta()
_NO_ID = UUID(int=0)
_MAX_TIME = datetime.max.replace(tzinfo=UTC) - _MICROSECOND
COLUMNS = (
    "id",
    "type",
    "created_at",
    "provider",
    "model",
    "alias",
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cost",
    "conversation_id",
    "calls",
)


class NothingChosen(DomainError):
    code = "nothing_chosen"

    def __init__(self) -> None:
        super().__init__(
            "Must specify one of: conversation_id, date range, log_ids, or since_last_receipt"
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """The chosen logs, as rows of COLUMNS.

    `days` have no uncertified calls once all of these are certified: with each, the
    number of its entries when the logs were chosen. `exceeds` returns whether there are
    surely more logs than so many, by the daily sums and without reading the ledger.
    """

    conversations: QuerySet
    calls: QuerySet
    days: dict[date, int] = field(default_factory=dict)
    since_last: bool = False
    exceeds: Callable[[int], bool] = lambda limit: False


def select(request: GenerationRequest, caller: Caller) -> Selection:
    """Return the logs that a generation request selects, by its first criterion.

    Raises NothingChosen.
    """
    if id := request.conversation_id:
        return _selection(caller, Q(id=id), Q(conversation_id=id))
    if request.start_date and request.end_date:
        return _between(caller, request.start_date, request.end_date)
    if request.log_ids:
        return _among(caller, request.log_ids)
    if request.since_last_receipt:
        return uncertified(caller)
    raise NothingChosen


def uncertified(caller: Caller) -> Selection:
    """Return the logs that no receipt has certified, nor their conversation as a whole."""
    days = _open_days(caller)
    within = day_ranges.on_days(days) if days else Q(id=_NO_ID)
    return _selection(
        caller,
        ~_is_linked(log_id=OuterRef("id")),
        within & _IS_UNCERTIFIED_CALL,
        days=days,
        since_last=True,
        exceeds=partial(_uncertified_exceed, caller, days),
    )


def _open_days(caller: Caller) -> dict[date, int]:
    """Return the days that may have uncertified calls, and the number of entries of each."""
    entries = DailyUsage.objects.for_caller(caller).values_list("day").annotate(Sum("entries"))
    certified = dict(CertifiedDay.objects.for_caller(caller).values_list("day", "entries"))
    return {day: count for day, count in entries if certified.get(day) != count}


def _uncertified_exceed(caller: Caller, days: dict[date, int], limit: int) -> bool:
    """Return whether the days without any certified log have more entries than the limit.

    Not if receipts have conversations: calls that were added to these count as certified.
    """
    if sum(days.values()) <= limit:
        return False
    starts = [midnight(day) for day in days]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT coalesce(sum(entries), 0) FROM unnest(%s::bigint[], %s::uuid[], %s::uuid[])
                AS day (entries, first, beyond)
            WHERE NOT EXISTS (
                SELECT FROM receipt_logs
                WHERE project_id = %s AND log_id >= first AND log_id < beyond
            )
            """,
            [
                [*days.values()],
                [ids.lowest(start) for start in starts],
                [ids.lowest(start + _DAY) for start in starts],
                caller.project_id,
            ],
        )
        (count,) = cursor.fetchone()
    if count <= limit:
        return False
    links = ReceiptLog.objects.for_caller(caller)
    return not links.filter(log_type=LogType.CONVERSATION, counted=True).exists()


def _entries_exceed(caller: Caller, first: datetime, beyond: datetime, limit: int) -> bool:
    """Return whether the whole days of a range have more entries than the limit."""
    whole = DailyUsage.objects.for_caller(caller).filter(
        day__gt=first.date() - (_DAY if first.time() == time() else _NO_TIME),
        day__lt=beyond.date(),
    )
    return whole.aggregate(entries=Sum("entries", default=0))["entries"] > limit


def _is_linked(**link: object) -> Exists:
    return Exists(ReceiptLog.objects.filter(project_id=OuterRef("project_id"), **link))


def links_of_conversation() -> QuerySet:
    """Return the links that certify a call, the outer query's, with its conversation.

    Corrections are certified by themselves: the receipt of the conversation stands. So
    are calls that were there before: the receipt of a turn has only its own call, which
    clients log after the turn.
    """
    return ReceiptLog.objects.filter(
        # Since the last receipt, a conversation is counted itself only if it has no calls. One
        # that was on its way then has an earlier time, and must not be counted again.
        Q(since_last=True) | Q(certified_at__lte=OuterRef("received_at")),
        # In here, and not beside it: as an alternative it would be no join to the planner.
        Exact(OuterRef("entry_type"), EntryType.CALL.value),
        project_id=OuterRef("project_id"),
        log_id=OuterRef("conversation_id"),
        counted=True,
    )


_IS_UNCERTIFIED_CALL = ~_is_linked(log_id=OuterRef("id")) & ~Exists(links_of_conversation())


def _between(caller: Caller, start: datetime, end: datetime) -> Selection:
    """Return the logs from `start` to `end`, both included: a range of time is one of ids."""
    # Nothing comes after the last time of Python.
    first, beyond = max(start, ids.EPOCH), min(max(end, ids.EPOCH), _MAX_TIME) + _MICROSECOND
    in_range = Q(id__gte=ids.lowest(first), id__lt=ids.lowest(beyond))
    exceeds = partial(_entries_exceed, caller, first, beyond)
    return _selection(caller, in_range, in_range, exceeds=exceeds)


def _among(caller: Caller, log_ids: list[UUID]) -> Selection:
    return _selection(caller, Q(id__in=log_ids), Q(id__in=log_ids) | Q(conversation_id__in=log_ids))


def _selection(
    caller: Caller, of_conversations: Q | Exists, of_calls: Q, **details: Any
) -> Selection:
    return Selection(
        _conversation_rows(Conversation.objects.for_caller(caller).filter(of_conversations)),
        _call_rows(UsageLog.objects.for_caller(caller).filter(of_calls)),
        **details,
    )


def _call_rows(calls: QuerySet) -> QuerySet:
    return calls.order_by().values_list(
        "id",
        Value(LogType.USAGE.value, CharField()),
        "created_at",
        "provider",
        "model",
        _default_alias("alias"),
        "input_tokens",
        "output_tokens",
        "cached_input_tokens",
        "cost",
        "conversation_id",
        # A reversal takes its call back: its numbers are negative, and so is its count.
        Case(When(entry_type=EntryType.REVERSAL, then=-1), default=1, output_field=IntegerField()),
    )


def _conversation_rows(conversations: QuerySet) -> QuerySet:
    """Return rows of COLUMNS; provider and model are those of the newest answer."""
    calls = UsageLog.objects.filter(
        project_id=OuterRef("project_id"), conversation_id=OuterRef("id")
    )
    return (
        conversations.filter(~Exists(calls), message_count__gt=0)
        .order_by()
        .values_list(
            "id",
            Value(LogType.CONVERSATION.value, CharField()),
            "created_at",
            _of_newest_answer("provider"),
            _of_newest_answer("model"),
            _default_alias("model_alias"),
            "total_input_tokens",
            "total_output_tokens",
            Value(0, IntegerField()),
            "total_cost",
            F("id"),
            Value(1, IntegerField()),
        )
    )


def _default_alias(column: str) -> Coalesce:
    return Coalesce(NullIf(column, Value("")), Value(DEFAULT_ALIAS))


def _of_newest_answer(member: str) -> Coalesce:
    answers = Message.objects.filter(
        project_id=OuterRef("project_id"), conversation_id=OuterRef("id"), role=Role.ASSISTANT
    )
    newest = answers.order_by("-position").values_list(Left(KT(f"metadata__{member}"), 255))[:1]
    return Coalesce(Subquery(newest), Value("unknown"))
